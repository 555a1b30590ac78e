"""Teams, keys, quotas, budgets, and submits that are sent twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from ovfarm.errors import Conflict, InvalidInput, NotFound, QuotaExceeded, Unauthorized
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import JobView
from ovfarm.recipes import Probe
from ovfarm.states import JobState
from ovfarm.teams import AddKey, AddTeam, Role, SetTeam
from storage import access, jobs, outcomes, quarantine, teams
from storage.columns import db_now
from storage.tables import ApiKey, Job, Share
from tests.storage.farm import Farm, probes
from tests.storage.test_sharing import run_for

CRASH = Failure(failure_class=FailureClass.CRASH, code=FailureCode.CRASHED, message="SIGSEGV")


def submit(farm: Farm, key: str, token: str = "a") -> JobView:  # noqa: S107 - a probe's mark
    with farm.database.write() as session:
        return jobs.submit(session, farm.team, probes(Probe(token=token)), key=key)


def test_a_submit_sent_twice_is_one_job_and_a_key_is_bound_to_its_body(farm: Farm) -> None:
    first = submit(farm, "once")
    assert submit(farm, "once").id == first.id
    with pytest.raises(InvalidInput) as refused:
        submit(farm, "once", token="b")
    assert refused.value.code == "idempotency_key_reused"
    assert submit(farm, "twice").id != first.id


def test_twenty_at_once_are_one_job(farm: Farm) -> None:
    def once(_: int) -> JobView:
        return farm.database.run(lambda session: jobs.submit(session, farm.team, probes(), key="k"))

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(once, range(20)))
    assert len({job.id for job in made}) == 1
    with farm.session() as session:
        assert session.execute(select(func.count()).select_from(Job)).scalar_one() == 1


def test_two_teams_may_use_the_same_key(farm: Farm) -> None:
    other = farm.add_team("other")
    mine = submit(farm, "k")
    with farm.database.write() as session:
        theirs = jobs.submit(session, other, probes(Probe(token="z")), key="k")
    assert mine.id != theirs.id


def test_max_queued_refuses_a_job_as_a_whole(farm: Farm) -> None:
    bounded = farm.add_team("bounded", max_queued=3)
    two = probes(Probe(name="a"), Probe(name="b"))
    farm.submit(two, team=bounded)
    with pytest.raises(QuotaExceeded, match="2 steps of team 'bounded' wait already and this job has 2"):
        farm.submit(two, team=bounded)
    farm.submit(team=bounded)
    farm.submit(two)


def test_a_team_without_budget_waits_and_goes_on_when_it_gets_more(farm: Farm) -> None:
    poor = farm.add_team("poor", budget_s=6)
    for _ in range(3):
        farm.submit(team=poor)
    run_for(farm, farm.must_claim(), 4)
    run_for(farm, farm.must_claim(), 4)
    assert farm.claim() is None
    with farm.database.write() as session:
        teams.set_team(session, SetTeam(team="poor", budget_s=100))
    assert farm.claim() is not None


def test_what_is_charged_is_what_was_used(farm: Farm) -> None:
    farm.submit()
    run_for(farm, farm.must_claim(), 7)
    with farm.session() as session:
        used = session.execute(select(func.sum(Share.used_s)).where(Share.team_id == farm.team)).scalar_one()
    assert 7 <= used < 8


def test_a_key_opens_its_team_until_it_is_revoked_or_expires(farm: Farm) -> None:
    with farm.database.write() as session:
        lab = teams.add_team(session, AddTeam(team="lab"))
        issued = access.issue_key(session, AddKey(team="lab", role=Role.OPERATOR, days=1))
    with farm.database.read() as session:
        assert access.caller(session, issued.secret) == access.Caller(team=lab, role=Role.OPERATOR)
        kept = session.execute(select(ApiKey.secret_hash)).scalar_one()
        assert issued.secret.rpartition("_")[2] not in kept
        for wrong in ("", "ovf", issued.secret[:-1], issued.secret + "x", "ovf__", f"xyz{issued.secret[3:]}"):
            with pytest.raises(Unauthorized):
                access.caller(session, wrong)
    with farm.database.write() as session:
        session.execute(update(ApiKey).values(expires_at=db_now(-1)))
    with farm.database.read() as session, pytest.raises(Unauthorized):
        access.caller(session, issued.secret)
    with farm.database.write() as session:
        session.execute(update(ApiKey).values(expires_at=None))
        access.revoke_key(session, issued.key.prefix)
        with pytest.raises(Unauthorized):
            access.caller(session, issued.secret)
        with pytest.raises(NotFound):
            access.revoke_key(session, issued.key.prefix)


def test_a_team_has_one_name(farm: Farm) -> None:
    with farm.database.write() as session:
        teams.add_team(session, AddTeam(team="lab", max_running=2))
        with pytest.raises(Conflict):
            teams.add_team(session, AddTeam(team="lab"))
        teams.set_team(session, SetTeam(team="lab", max_running=-1, weight=2))
        (lab,) = (team for team in teams.teams(session) if team.name == "lab")
        assert (lab.max_running, lab.weight, lab.used_s) == (None, 2, 0)
        with pytest.raises(NotFound):
            teams.set_team(session, SetTeam(team="nobody"))


def test_poison_is_refused_until_it_is_lifted(farm: Farm) -> None:
    job = farm.submit()
    claim = farm.must_claim()
    with farm.database.write() as session:
        outcomes.fail_as_poison(session, claim, CRASH)
    assert farm.view(job).state is JobState.FAILED
    assert farm.view(job).failure is not None
    with pytest.raises(Conflict) as refused:
        farm.submit()
    assert refused.value.code == "quarantined"
    farm.submit(probes(Probe(token="other")))
    farm.submit(team=farm.add_team("strangers"))
    with farm.database.write() as session:
        (known,) = quarantine.quarantined(session)
        quarantine.lift(session, known.fingerprint[:12])
    farm.submit()
