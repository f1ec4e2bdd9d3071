import { readFileSync } from 'node:fs'
import { STORE_CHECKS } from '@talos/envelope-conformance'
import { expect, test } from 'vitest'

const contract = readFileSync(new URL('../../envelope/src/store/secret-store.ts', import.meta.url), 'utf8')

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
