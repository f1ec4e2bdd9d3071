import { expect, test } from 'vitest'
import { until } from '../../../examples/gateway/demo/checks.ts'
import { BEFORE, LEFT, underV1, underV2, WHILE_STALE } from './scenarios/step.ts'
import { Stage } from './stage.ts'
import { conclude } from './verdict.ts'

const ONE_MINUTE = 60_000

/** Waits until every name of the running slots was written once: from then on the number of records stands still. */
async function allWritten(stage: Stage): Promise<number> {
  return await until('every name is written', 20_000, async () => {
    const records = (await stage.journal.count('v1')) + (await stage.journal.count('v2'))
    return stage.ledger.names.length === stage.namesOf(['a', 'b', 'c']).length &&
      records === stage.ledger.names.length
      ? records
      : undefined
  })
}

test(
  'the runbook takes three instances from v1 to v2 and never says retire, while an old pod drains',
  async () => {
    const stage = await Stage.open()
    const records = await allWritten(stage)
    await stage.check(BEFORE)

    // Steps 1 and 2 in one deploy: v2 is added and named, pod by pod. c drains for long.
    await stage.restart('a', 'new')
    await stage.restart('b', 'new')
    const draining = underV1(['a v1 v2', 'b v1 v2', 'c v1'], { c: 'kek_missing' })
    await stage.check(draining)
    for (const slot of ['a', 'b', 'c']) {
      const { staleCounts, targetKekId } = await stage.of(slot).ask('status', null)
      expect({ slot, targetKekId, staleCounts }).toEqual({
        slot,
        targetKekId: 'v2',
        staleCounts: { v1: records },
      })
    }

    // Step 3 too early: the rotation waits, says for whom, and has done nothing.
    const begun = await stage.of('a').ask('rotate', null)
    expect(begun.started).toBe(true)
    expect(begun.waitingFor.map(({ process, reason }) => [stage.slotOf(process), reason])).toEqual([
      ['c', 'kek_missing'],
    ])
    expect(await stage.of('b').ask('rotate', null)).toMatchObject({ id: begun.id, started: false })
    await stage.beats(3)
    for (const slot of ['a', 'b', 'c']) {
      const { status, rewrapped, waitingFor } = await stage.of(slot).ask('rotation', begun.id)
      expect({ status, rewrapped }).toEqual({ status: 'running', rewrapped: 0 })
      expect(waitingFor.map(({ process }) => stage.slotOf(process))).toEqual(['c'])
      const { staleCounts } = await stage.of(slot).ask('status', null)
      expect(staleCounts).toEqual({ v1: records })
    }
    await stage.check(draining)

    // The old pod is gone, a new one takes its place: the promotion follows, and the rotation by itself.
    await stage.restart('c', 'new')
    await stage.rotated('c', begun.id)

    // Step 4, as every instance counts and as the database does.
    await stage.check(underV2(['a v1 v2', 'b v1 v2', 'c v1 v2'], LEFT))
    for (const slot of ['a', 'b', 'c']) {
      expect((await stage.of(slot).ask('status', null)).staleCounts).toEqual({ v1: 0 })
    }
    expect(await stage.journal.count('v1')).toBe(0)
    expect(await stage.journal.count('v2')).toBe(records)

    // Steps 5 and 6: v1 is taken away, pod by pod.
    await stage.restart('a', 'only v2')
    await stage.check(underV2(['a v2', 'b v1 v2', 'c v1 v2'], LEFT))
    await stage.restart('b', 'only v2')
    await stage.restart('c', 'only v2')
    await stage.check(underV2(['a v2', 'b v2', 'c v2'], LEFT))
    for (const slot of ['a', 'b', 'c']) {
      const { ready, staleCounts, notices, loadedKekIds } = await stage.of(slot).ask('status', null)
      expect({ slot, ready, staleCounts, loadedKekIds }).toEqual({
        slot,
        ready: true,
        staleCounts: { v1: 0 },
        loadedKekIds: ['v2'],
      })
      expect(notices).toContainEqual(expect.stringMatching(/^KEK "v1" .* removed, not retired\./))
      const { verdict, reasons } = await stage.of(slot).ask('retirement', { accept: true })
      // Without an escrow, and on a server without fsync.
      expect({ verdict, codes: reasons.map(({ code }) => code) }).toEqual({
        verdict: 'ADVISORY',
        codes: ['store_advisory'],
      })
    }
    await conclude(stage, 'the runbook')
  },
  ONE_MINUTE,
)

test(
  'a pod without v1 before the rotation is not ready and names v1, and what it is asked to rotate another one does',
  async () => {
    const stage = await Stage.open()
    await stage.check(BEFORE)
    for (const slot of ['a', 'b', 'c']) await stage.restart(slot, 'new')
    await stage.check(underV2(['a v1 v2', 'b v1 v2', 'c v1 v2'], WHILE_STALE))

    await stage.restart('b', 'only v2')
    await stage.check({
      ...underV2(
        ['a v1 v2', 'b v2 disagrees', 'c v1 v2'],
        ['S1 records_remain', 'S3 store_advisory', 'S6 instance_disagrees b', 'S9 escrow_not_recorded'],
      ),
      notReady: { b: 'ERR_KEK_NOT_LOADED v1' },
    })

    await stage.rotate('b')
    await stage.check(underV2(['a v1 v2', 'b v2', 'c v1 v2'], LEFT))
    await conclude(stage, 'b loses v1 before the rotation')
  },
  ONE_MINUTE,
)
