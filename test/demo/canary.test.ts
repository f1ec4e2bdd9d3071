import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { Evidence } from '../../examples/gateway/demo/canary.ts'

// Every byte differs from its neighbours, and base64 of it holds both `+` and `/`.
const bytes = Buffer.from('fbefbe17a85cd0ff3e9b42c6e1d7380f94fbfe6a25ce03b1f2847dd95a1c60eb', 'hex')

function search(...chunks: readonly (string | Uint8Array)[]): readonly string[] {
  const evidence = new Evidence()
  for (const chunk of chunks) evidence.add('output', chunk)
  evidence.watch('KEK v1', bytes)
  return evidence.search()
}

test.each([
  ['raw bytes', Buffer.concat([Buffer.from('key '), bytes])],
  ['hex', `kek=${bytes.toString('hex')}`],
  ['upper-case hex', bytes.toString('hex').toUpperCase()],
  ['spaced hex', inspect(bytes)],
  ['decimal numbers', JSON.stringify([...bytes])],
  ['base64 (+0)', JSON.stringify({ kek: bytes.toString('base64') })],
  ['base64url (+0)', `TALOS_KEK_v1=${bytes.toString('base64url')}`],
  ['base64 (+1)', Buffer.concat([Buffer.from('x'), bytes, Buffer.from('yz')]).toString('base64')],
  ['base64 (+2)', Buffer.concat([Buffer.from('xy'), bytes]).toString('base64')],
  ['base64url (+2)', Buffer.concat([Buffer.from('vwxyz'), bytes]).toString('base64url')],
])('the search finds a canary as %s', (form, text) => {
  expect(search(text)).toContain(`KEK v1 as ${form} in output`)
})

test('the search finds a canary that two chunks share', () => {
  const text = bytes.toString('hex')
  expect(search(text.slice(0, 21), text.slice(21))).toEqual(['KEK v1 as hex in output'])
})

test('the evidence tells which sources hold a text', () => {
  const evidence = new Evidence()
  evidence.add('a', 'liste')
  evidence.add('b', 'silent')
  evidence.add('a', 'ning')
  expect(evidence.sourcesWith('listening')).toEqual(['a'])
})

test('the search finds nothing in other bytes', () => {
  const other = Buffer.from(bytes).fill(0, 20)
  expect(search(other)).toEqual([])
  expect(search(other.toString('base64'))).toEqual([])
  expect(search(inspect(other))).toEqual([])
})
