import { expect, test } from 'vitest'
import { databaseFile } from '../database-file.ts'
import { filled, secretOf } from '../records.ts'
import { Child } from './child.ts'

const ROUNDS = 200

test('of eight processes that start at once on a new file each finds it migrated, with one incarnation', async () => {
  const { path } = databaseFile()
  const children = Array.from({ length: 8 }, () => new Child('migrate', path))
  const incarnations = await Promise.all(children.map((child) => child.line()))
  expect(new Set(incarnations).size).toBe(1)
}, 60_000)

test('of four processes that race to re-wrap one record exactly one wins, in each of 200 rounds', async () => {
  const file = databaseFile()
  const store = await file.migrated()
  await filled(store, ROUNDS)
  const kekIds = ['p0', 'p1', 'p2', 'p3']
  const children = kekIds.map((kekId) => new Child('race', file.path, kekId))
  await Promise.all(children.map((child) => child.line()))
  const won = kekIds.map(() => 0)
  for (let round = 0; round < ROUNDS; round += 1) {
    // The one that is told first must not always be the same.
    for (const n of kekIds.keys()) children[(round + n) % children.length]?.go()
    const outcomes = await Promise.all(children.map((child) => child.line()))
    expect(outcomes.toSorted(), `round ${round}`).toEqual(['changed', 'changed', 'changed', 'done'])
    const winner = outcomes.indexOf('done')
    won[winner] = (won[winner] ?? 0) + 1
    const [record] = await store.read([`n${round}`])
    expect(record?.wrap).toBe(secretOf(`n${round}`, kekIds[winner]).wrap)
  }
  console.log(`${ROUNDS} rounds, one winner each, of 4 processes: ${won.join(' + ')}`)
}, 60_000)

test('four processes that read, add one and write lose no update', async () => {
  const file = databaseFile()
  const store = await file.migrated()
  await filled(store, 1)
  const children = Array.from({ length: 4 }, () => new Child('count', file.path, '100'))
  await Promise.all(children.map((child) => child.line()))
  for (const child of children) child.go()
  const lost = await Promise.all(children.map(async (child) => Number(await child.line())))
  const [counter] = await store.read(['n0'])
  expect(JSON.parse(counter?.meta ?? '')).toEqual({ count: 400 })
  console.log(`400 updates by 4 processes, lost races: ${lost.join(' + ')}`)
}, 60_000)
