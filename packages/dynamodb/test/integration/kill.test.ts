import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { creating } from '../../../../test/stored-secrets.ts'
import { GUARDS, shardOf } from '../../src/layout.ts'
import { type Item, type Table, tableAt } from '../table.ts'

const PROGRAM = fileURLToPath(new URL('fence-process.ts', import.meta.url))

/** The document, sixteen guard items, and the mark that all have moved. */
const WRITES = 18
const AT_ONCE = 3

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

/** Changes the keyring document in a process that ends itself. @returns The signal that ended it, if one did. */
async function changeAndDie(table: Table, writes: number, when: 'before' | 'after'): Promise<string | null> {
  const args = ['--conditions=@talos/source', PROGRAM, url, table.name, String(writes), when]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal
}

const revisionsOf = (items: readonly Item[], kind: string): number[] =>
  items.filter(({ pk }) => pk?.S?.includes(`#${kind}`)).map(({ revision }) => Number(revision?.N ?? 0))

const NUMBERS = Array.from({ length: 1_000 }, (_, n) => n)

/** Writes with a guard, one record for each guard item. */
async function outcomesOf(table: Table, guard: number, prefix: string): Promise<Set<string>> {
  const store = table.store()
  const write = async (guardItem: number): Promise<string> => {
    const n = NUMBERS.find((n) => shardOf(`${prefix}-${n}`) === guardItem)
    const [outcome = ''] = await store.write(guard, [creating(`${prefix}-${n}`)])
    return outcome
  }
  const outcomes = await Promise.all(NUMBERS.slice(0, GUARDS).map(write))
  return new Set(outcomes)
}

test('a change of the keyring that is killed between any two of its steps is ended by the next reader', async () => {
  let kills = 0
  let halfWay = 0
  const steps = Array.from({ length: WRITES + 1 }, (_, writes) => writes)
  const cases = steps.flatMap((writes) =>
    writes === 0 ? [['after', writes] as const] : [['after', writes] as const, ['before', writes] as const],
  )

  const killOne = async ([when, writes]: readonly ['before' | 'after', number]): Promise<void> => {
    const table = await tableAt(url)
    const store = table.store()
    expect(await store.writeDocument('keyring', 0, '{"epoch":1}')).toBe(1)
    expect(await changeAndDie(table, writes, when), `${writes} ${when}`).toBe('SIGKILL')
    kills += 1
    const items = await table.items()
    const [document = 0] = revisionsOf(items, 'document')
    const guards = revisionsOf(items, 'guard')
    const moved = guards.filter((revision) => revision === 2).length
    if (when === 'after') {
      expect(document, `${writes} writes`).toBe(writes === 0 ? 1 : 2)
      expect(moved).toBe(Math.min(16, Math.max(0, writes - 1)))
    }
    if (moved > 0 && moved < 16) halfWay += 1
    // Before anybody has been told of the change, both revisions may still be written under, each where its guard item is.
    const early = await outcomesOf(table, 1, 'early')
    for (const outcome of early) expect(['done', 'fenced']).toContain(outcome)

    const shown = (await store.readDocument('keyring'))?.revision
    if (when === 'after') expect(shown).toBe(document)
    expect(revisionsOf(await table.items(), 'guard')).toEqual(Array.from({ length: 16 }, () => shown))
    if (shown === 2) expect(await outcomesOf(table, 1, 'late')).toEqual(new Set(['fenced']))
    expect(await outcomesOf(table, shown ?? 0, 'fresh')).toEqual(new Set(['done']))
    // Whoever was killed may come back and repeat the change.
    expect(await store.writeDocument('keyring', 1, '{"epoch":2}')).toBe(2)
    expect(await outcomesOf(table, 1, 'last')).toEqual(new Set(['fenced']))
    table.close()
  }

  const waiting = [...cases]
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await killOne(next)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  expect(kills).toBe(2 * WRITES + 1)
  expect(halfWay).toBeGreaterThan(WRITES)
  console.log(
    `${kills} kills, ${halfWay} of them with some guard items moved and some not; every change was ended`,
  )
}, 180_000)
