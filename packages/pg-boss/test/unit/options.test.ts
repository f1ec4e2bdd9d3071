import { type PgBossInstance, pgBossRunner } from '@talos/envelope-pg-boss'
import { PgBoss } from 'pg-boss'
import { expect, test } from 'vitest'

const boss: PgBossInstance = new PgBoss('postgres://127.0.0.1:1/nowhere')

test('options of the wrong form are refused by name', () => {
  const wrong = (options: object) => () => pgBossRunner({ boss, ...options })
  expect(() => pgBossRunner({ boss: {} as PgBossInstance })).toThrow(/boss is a started PgBoss/)
  expect(wrong({ queue: '' })).toThrow(/queue is the name/)
  expect(wrong({ queue: 'one', deadLetter: 'one' })).toThrow(/deadLetter is the name of another queue/)
  for (const concurrency of [0, 9, 1.5]) expect(wrong({ concurrency })).toThrow(/from 1 to 8/)
  for (const seconds of [0.4, Number.NaN, 3_601])
    expect(wrong({ pollingIntervalSeconds: seconds })).toThrow(/from 0.5 to 3,600/)
})

test('nothing is asked of the database before the vault starts the runner', async () => {
  const runner = pgBossRunner({ boss })
  await runner.enqueue([], { concurrency: 1 })
  await runner.stop()
})
