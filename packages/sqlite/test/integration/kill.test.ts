import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { databaseFile } from '../database-file.ts'
import { filled, secretOf } from '../records.ts'
import { Child } from './child.ts'

const KILLS = 50
const AT_ONCE = 2

test(`${KILLS} writers killed at random moments lose nothing that was acknowledged`, async () => {
  const file = databaseFile()
  const store = await file.migrated()
  await filled(store, 0)
  let acknowledged = 0

  const killOne = async (number: number): Promise<void> => {
    const child = new Child('write', file.path, `w${number}`)
    await child.line()
    // Into the middle of some transaction; nothing waits for this time to be long enough.
    await setTimeout(Math.random() * 20)
    await child.kill()
    acknowledged += child.lines.length
    const states = new Map<string, string>()
    for (const line of child.lines) {
      const [what = '', name = ''] = line.split(' ')
      states.set(name, what)
    }
    const names = [...states.keys()]
    for (let from = 0; from < names.length; from += 100) {
      const part = names.slice(from, from + 100)
      const stored = await store.read(part)
      for (const [index, name] of part.entries()) {
        const { wrap, sealed } = stored[index] ?? {}
        expect(sealed, name).toEqual(secretOf(name, 'v1', 2_000).sealed)
        const kekIds = states.get(name) === 'created' ? ['v1', 'v2'] : ['v2']
        expect(kekIds.map((kekId) => secretOf(name, kekId).wrap)).toContain(wrap)
      }
    }
  }

  for (let number = 0; number < KILLS; number += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => killOne(number + n)))
  }
  const database = file.connect()
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
  const counts = database
    .prepare(
      'SELECT (SELECT count(*) FROM talos_secrets) AS headers, (SELECT count(*) FROM talos_sealed) AS sealed',
    )
    .get()
  expect(counts?.['headers']).toBe(counts?.['sealed'])
  console.log(`${KILLS} kills, ${acknowledged} acknowledged writes, 0 lost`)
}, 120_000)
