import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { CANARY_DEK, CANARY_KEK, CANARY_SECRET, findCanaries } from './canaries.ts'

// Findings are compared by name only: a failed comparison that printed a canary would end in a false alarm.
const kek = Buffer.from(CANARY_KEK)

describe('findCanaries finds a canary', () => {
  test.each<[string, string, string]>([
    ['raw bytes', 'kek as raw bytes', `key ${kek.toString('latin1')}.`],
    ['raw bytes that went through UTF-8', 'kek as raw bytes', `key ${kek.toString('utf8')}.`],
    ['lower case hex', 'kek as hex', `key=${kek.toString('hex')}`],
    ['upper case hex', 'kek as hex', `key=${kek.toString('hex').toUpperCase()}`],
    ['an inspected buffer', 'kek as hex', inspect(kek)],
    ['base64', 'kek as base64', `{"k":"${kek.toString('base64')}"}`],
    ['base64url', 'kek as base64url', `{"k":"${kek.toString('base64url')}"}`],
    ['an inspected typed array', 'kek as numbers', inspect(CANARY_KEK)],
    ['a typed array in JSON', 'kek as numbers', JSON.stringify(CANARY_KEK)],
    ['a buffer in indented JSON', 'kek as numbers', JSON.stringify({ kek }, null, 2)],
    ['the DEK', 'dek as hex', Buffer.from(CANARY_DEK).toString('hex')],
    ['the secret in clear', 'secret as raw bytes', `Error: cannot use ${CANARY_SECRET}`],
    ['the secret in base64', 'secret as base64', Buffer.from(CANARY_SECRET).toString('base64')],
  ])('as %s', (_spelling, finding, text) => {
    expect(findCanaries(text).includes(finding)).toBe(true)
  })

  test.each([0, 1, 2])('in base64 of longer bytes, %i bytes behind a group of three', (offset) => {
    const longer = Buffer.concat([Buffer.alloc(3 + offset, 0xa5), kek, Buffer.alloc(7, 0x5a)])
    expect(findCanaries(longer.toString('base64')).includes('kek as base64')).toBe(true)
    expect(findCanaries(longer.toString('base64url')).includes('kek as base64url')).toBe(true)
  })
})

test('findCanaries finds nothing in other keys and ordinary output', () => {
  const other = Uint8Array.from(CANARY_KEK, (byte) => byte ^ 1)
  const texts = [
    inspect(other),
    Buffer.from(other).toString('base64'),
    Buffer.from(other).toString('hex'),
    'a'.repeat(1e4),
  ]
  expect(findCanaries(texts.join('\n'))).toEqual([])
})

test('no canary is a weak key', () => {
  for (const canary of [CANARY_KEK, CANARY_DEK]) {
    expect(new Set(canary).size).toBeGreaterThanOrEqual(12)
    expect(canary.every((byte) => byte >= 0x20 && byte < 0x7f)).toBe(false)
  }
})
