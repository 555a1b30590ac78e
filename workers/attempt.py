"""One claimed step from start to finish: reuse it, or lay out, run, upload and commit it once."""

import random
import shutil
import subprocess
from pathlib import Path
from time import monotonic

import structlog
from sqlalchemy.orm import Session

from ovfarm.errors import LeaseLost, Unavailable
from ovfarm.failpoints import Failpoint, failpoint
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import Cache
from ovfarm.keys import manifest_digest, step_key
from ovfarm.policy import backoff
from ovfarm.results import Manifest, StepResult, emulated
from storage import cache, outcomes
from storage.claims import Claim
from storage.holdings import sizes, touch
from storage.inputs import Input, inputs
from storage.ledger import POISON_AFTER, crashes
from workers.inputs import trim
from workers.lease import Lease, Stop
from workers.outputs import collect, describe, upload
from workers.persist import persist
from workers.protocol import StepFailed
from workers.request import key_inputs, step_request
from workers.workplace import Workplace

log = structlog.get_logger()
_DICE = random.SystemRandom()


class Attempt:
    """One claim in the hands of one node; ``run`` never raises for what can happen to a step."""

    def __init__(self, place: Workplace, claim: Claim, lease: Lease) -> None:
        self._place = place
        self._claim = claim
        self._lease = lease
        self._folder = place.scratch / claim.id.hex
        self._key = ""

    def run(self) -> Failure | None:
        """Do the work and commit its end, whatever it is; returns the failure if it was one."""
        try:
            began = monotonic()
            failpoint(Failpoint.CLAIMED)
            ins = self._inputs()
            if self._leads(ins):
                end = self._work(ins)
                self._finish(end)
                log.info(
                    "step.ended", well=not isinstance(end, Failure), seconds=round(monotonic() - began, 3)
                )
                return end if isinstance(end, Failure) else None
        except LeaseLost as lost:
            log.warning("step.lost", why=str(lost))
        except Unavailable as away:
            # Neither database nor store came back in time: the sweep gives the step to another node.
            log.warning("step.abandoned", why=away.message)
        finally:
            _clear(self._folder)
        return None

    def _inputs(self) -> tuple[Input, ...]:
        with self._place.database.read() as session:
            return inputs(session, self._claim.step_id)

    def _leads(self, ins: tuple[Input, ...]) -> bool:
        """Work out the step's key and tell whether the work has to be done here and now."""
        self._key = step_key(self._claim.params, key_inputs(self._claim, ins), self._place.node.offer)
        if self._claim.cache is Cache.OFF:
            return True
        with self._place.database.write() as session:
            way = cache.reuse_or_lead(session, self._claim, self._key, reuse=self._claim.cache is Cache.USE)
        log.info("step.way", way=way.name.lower(), key=self._key)
        return way is cache.Way.LEAD

    def _work(self, ins: tuple[Input, ...]) -> outcomes.Product | Failure:
        """Run the child and store what it made; a failure of any part is a value."""
        try:
            request = step_request(self._place, self._claim, ins, self._folder)
            trim(self._place.cache, self._place.settings.cache_bytes)
            failpoint(Failpoint.RUNNING)
            reply = self._place.zygote.run(request, on_progress=self._lease.report, stop=self._lease.stop)
            if isinstance(reply, StepResult):
                return self._store(request.outputs, reply)
        except StepFailed as bad_output:
            return bad_output.failure
        except Unavailable as away:
            return _storage_failure(away)
        except OSError as disk:
            return _disk_failure(disk)
        if not isinstance(reply, Failure):
            raise TypeError(f"a step was answered with {type(reply).__name__}")
        return reply

    def _store(self, outputs: Path, result: StepResult) -> outcomes.Product:
        files = collect(outputs, self._place.settings.max_blob_bytes)
        manifest = describe(files)
        if manifest is not None:
            with self._place.database.write() as session:
                touch(session, sizes(manifest))
            upload(files, manifest, self._place.blobs)
        failpoint(Failpoint.UPLOADED)
        return outcomes.Product(
            result=emulated(result) if self._place.node.offer.emulated else result,
            manifest=manifest,
            # A program that was loaded may have said anything; what its files are is seen from here.
            canonical_digest=_canonical(
                "" if self._claim.need.torch_programs else result.canonical_digest, manifest
            ),
        )

    def _finish(self, end: outcomes.Product | Failure) -> None:
        self._lease.close()
        if self._lease.why is Stop.LOST:
            raise LeaseLost("this node could not renew its lease in time")
        failpoint(Failpoint.BEFORE_COMMIT)
        if isinstance(end, outcomes.Product):
            self._persist(lambda session: self._succeed(session, end))
        elif self._lease.why is Stop.LEAVING:
            self._persist(lambda session: outcomes.give_back(session, self._claim))
        elif self._lease.why is Stop.CANCELLED:
            self._persist(lambda session: outcomes.cancelled(session, self._claim, end))
        else:
            self._persist(lambda session: self._fail(session, end))
        failpoint(Failpoint.AFTER_COMMIT)

    def _succeed(self, session: Session, product: outcomes.Product) -> None:
        outcomes.succeed(session, self._claim, self._key, product)
        if self._claim.cache is not Cache.OFF:
            cache.remember(session, self._claim, self._key, product.result)

    def _fail(self, session: Session, failure: Failure) -> None:
        delay_s = backoff(failure.failure_class, self._claim.attempt, self._claim.max_attempts, _DICE)
        log.warning("step.failed", code=failure.code.value, retry_in_s=delay_s)
        if failure.failure_class is FailureClass.CRASH and self._is_poison(session):
            outcomes.fail_as_poison(session, self._claim, failure)
        elif delay_s is None:
            outcomes.fail(session, self._claim, failure)
        else:
            outcomes.postpone(session, self._claim, failure, delay_s)

    def _is_poison(self, session: Session) -> bool:
        return crashes(session, self._claim.step_id, with_nodes=False) + 1 >= POISON_AFTER

    def _persist(self, write: outcomes.Write) -> None:
        persist(self._place.database, self._claim, write, for_s=self._place.settings.lease_s)


def _clear(folder: Path) -> None:
    """Remove a step's folder; what is nested too deeply for Python is left to a program that is not."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["/bin/rm", "-rf", "--", str(folder)], check=False)


def _canonical(meaning: str | None, manifest: Manifest | None) -> str:
    """Return the digest by which later steps know this product: its meaning if that is known."""
    if meaning:
        return meaning
    return manifest_digest(manifest) if manifest else ""


def _storage_failure(away: Unavailable) -> Failure:
    corrupt = away.code == FailureCode.STORE_CORRUPT
    code = FailureCode.STORE_CORRUPT if corrupt else FailureCode.STORE
    return Failure(failure_class=FailureClass.INFRA, code=code, message=away.message)


def _disk_failure(disk: OSError) -> Failure:
    return Failure(
        failure_class=FailureClass.INFRA,
        code=FailureCode.NODE_DISK_FULL,
        message=f"the node could not write its scratch files: {disk}",
    )
