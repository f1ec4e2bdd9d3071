import { isDeepStrictEqual } from 'node:util'
import type { RotationFailure, SecretVault } from '@talos/envelope'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openInstance } from './instances.ts'
import { placeOn, type StoreName } from './places.ts'
import { damage, poisons } from './poison.ts'
import { numbered, overwrite, settled, unreadable, writeSome } from './some-secrets.ts'

const STORES: readonly StoreName[] = ['sqlite', 'postgres', 'redis']
const SECRETS = 1_000

describe.each(STORES)('on %s', (name) => {
  test('five records that are damaged in five ways are named, and all others rotated', async () => {
    const place = await placeOn(name)
    onTestFinished(() => place.close())
    const { store } = place
    const names = numbered('secret', SECRETS)
    await writeSome(store, names)
    const list = poisons(names)
    const backup = await damage(store, list, names.at(-1) ?? '')
    const poisoned = list.map((each) => each.name)
    const sound = names.filter((each) => !poisoned.includes(each))
    const damaged = await place.dump()

    const vault = await openInstance(store, ['v1', 'v2'])
    onTestFinished(() => vault.close())
    const first = await settled(vault, (await vault.rotate()).id)
    expect(first.status).toBe('failed')
    expect(first.totals).toMatchObject({ scanned: SECRETS, rewrapped: 995, failed: 5 })
    expect(await reasonsOf(vault, first.id)).toEqual(new Map(list.map((each) => [each.name, each.reason])))
    const rotated = await place.dump()
    expect(poisoned.map((each) => rotated.get(each))).toEqual(poisoned.map((each) => damaged.get(each)))
    expect(await unreadable(vault, sound)).toEqual([])
    const certificate = await vault.keks.checkRetirement('v1', { acceptLossOfBackups: 'none in this test' })
    expect(certificate.verdict).toBe('NOT_SAFE')
    expect(certificate.reasons.map(({ code }) => code)).toContain('records_remain')
    await expect(
      vault.keks.retire('v1', { acceptLossOfBackups: 'none in this test', acceptAdvisory: 'a test' }),
    ).rejects.toMatchObject({ code: 'ERR_NOT_SAFE_TO_RETIRE' })

    const second = await settled(vault, (await vault.rotate()).id)
    expect(second.status).toBe('failed')
    expect(second.totals).toMatchObject({ scanned: 5, rewrapped: 0, failed: 5 })
    expect(await reasonsOf(vault, second.id)).toEqual(new Map(list.map((each) => [each.name, each.reason])))
    expect(isDeepStrictEqual(await place.dump(), rotated)).toBe(true)

    for (const secret of backup) await overwrite(store, secret)
    await vault.rotations.retryFailed(second.id)
    const mended = await settled(vault, second.id)
    expect(mended.status).toBe('completed')
    expect(mended.totals).toMatchObject({ scanned: 5, rewrapped: 5, failed: 0 })
    const after = await place.dump()
    expect(sound.map((each) => after.get(each))).toEqual(sound.map((each) => rotated.get(each)))
    expect(await store.census()).toEqual(new Map([['v2', SECRETS]]))
    const target = await openInstance(store, ['v2'], { fleet: 'none' })
    expect(await unreadable(target, names)).toEqual([])
    await target.close()
    console.log(
      `${name}: 995 of ${SECRETS} rotated, 5 named (${list.map(({ reason }) => reason).join(', ')}), 5 mended`,
    )
  }, 60_000)
})

async function reasonsOf(vault: SecretVault, id: string): Promise<ReadonlyMap<string, string>> {
  const failures: RotationFailure[] = []
  for await (const failure of vault.rotations.failures(id)) failures.push(failure)
  const reasons = new Map(failures.map(({ name, reason }) => [name, reason as string]))
  if (reasons.size !== failures.length) throw new Error('a failure is listed twice')
  return new Map([...reasons].sort())
}
