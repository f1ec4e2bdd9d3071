import { expect, test } from 'vitest'
import { compareRecords, compareSecrets, countByWorker } from '../../examples/gateway/demo/comparison.ts'
import type { Written } from '../../examples/gateway/demo/ledger.ts'
import type { RecordFacts } from '../../examples/gateway/demo/records.ts'

const written = new Map<string, Written>([
  ['a', { value: 'first', version: 1 }],
  ['b', { value: 'second', version: 2 }],
])

function openedAs(name: string, now: Written | null): ReadonlyMap<string, Written> {
  const opened = new Map(written)
  if (now === null) opened.delete(name)
  else opened.set(name, now)
  return opened
}

test('secrets that open to what was written last are no difference', () => {
  expect(compareSecrets(written, new Map(written))).toEqual([])
  expect(compareSecrets(written, openedAs('b', { value: 'second', version: 3 }))).toEqual([])
})

test.each([
  ['a lost secret', 'a', null, 'a is lost'],
  ['an older value', 'b', { value: 'older', version: 2 }, 'b opens to another value'],
  ['a version that went back', 'b', { value: 'second', version: 1 }, 'b went back to version 1'],
  ['a secret nobody wrote', 'c', { value: 'third', version: 1 }, 'c was never written'],
])('%s is a difference', (_what, name, now, difference) => {
  expect(compareSecrets(written, openedAs(name, now))).toEqual([difference])
})

function facts(kekId: string, dek: string, sealedDigest: string): RecordFacts {
  return { kekId, dek: Buffer.from(dek), sealedDigest }
}

const before = new Map([
  ['kept', facts('v1', 'dek-1', 'sealed-1')],
  ['written', facts('v1', 'dek-2', 'sealed-2')],
])
const after = new Map([
  ['kept', facts('v2', 'dek-1', 'sealed-1')],
  ['written', facts('v2', 'dek-3', 'sealed-3')],
])

test('records that were re-wrapped, or written meanwhile, are no difference', () => {
  expect(compareRecords(before, after, new Set(['written']), 'v2')).toEqual([])
})

test.each([
  ['kept', facts('v1', 'dek-1', 'sealed-1'), 'kept is under KEK "v1"'],
  ['kept', facts('v2', 'dek-4', 'sealed-1'), 'kept got another DEK'],
  ['kept', facts('v2', 'dek-1', 'sealed-4'), 'kept got another ciphertext'],
  ['written', facts('v2', 'dek-2', 'sealed-3'), 'written kept its DEK'],
  ['written', facts('v2', 'dek-3', 'sealed-2'), 'written kept its ciphertext'],
  ['written', facts('v2', 'dek-1', 'sealed-3'), 'two records share a DEK'],
  ['unknown', facts('v2', 'dek-5', 'sealed-5'), 'unknown appeared'],
])('a record "%s" that is not as it must be is a difference', (name, now, difference) => {
  expect(compareRecords(before, new Map([...after, [name, now]]), new Set(['written']), 'v2')).toEqual([
    difference,
  ])
})

test('a record that is gone is a difference', () => {
  const rest = new Map([...after].filter(([name]) => name !== 'kept'))
  expect(compareRecords(before, rest, new Set(['written']), 'v2')).toEqual(['kept is lost'])
})

test('re-wraps are counted by the time each record carries', () => {
  const listed = ['2026-01-01T00:00:01Z', '2026-01-01T00:00:03Z', '2026-01-01T00:00:04Z', null].map(
    (rotated_at) => ({
      name: 'any',
      key_id: 'v2',
      version: 1,
      created_at: '2026-01-01T00:00:00Z',
      rotated_at,
    }),
  )
  expect(countByWorker(listed, new Date('2026-01-01T00:00:02Z'))).toEqual({ before: 1, after: 2, never: 1 })
})
