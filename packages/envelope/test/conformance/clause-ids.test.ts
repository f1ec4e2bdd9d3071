import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { STORE_CHECKS } from '../../../../test/store-clauses/index.ts'

const contract = readFileSync(new URL('../../src/store/secret-store.ts', import.meta.url), 'utf8')

test('every clause of the contract has a check, and every check is of a clause', () => {
  const stated = [...contract.matchAll(/- `\[([A-Z]+-\d+)\]`/g)].map(([, id]) => id)
  expect(new Set(stated).size).toBe(stated.length)
  expect([...new Set(STORE_CHECKS.map(({ clause }) => clause))].sort()).toEqual(stated.sort())
})

test('no two checks of a clause have the same title', () => {
  const titles = STORE_CHECKS.map(({ clause, title }) => `[${clause}] ${title}`)
  expect(new Set(titles).size).toBe(titles.length)
})

test('no clause rests on hooks alone', () => {
  const unconditional = new Set(STORE_CHECKS.filter(({ needs }) => !needs).map(({ clause }) => clause))
  expect(STORE_CHECKS.filter(({ clause }) => !unconditional.has(clause))).toEqual([])
})
