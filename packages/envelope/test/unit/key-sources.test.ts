import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CANARY_KEK, findCanaries } from '../../../../test/canaries.ts'
import { createCodec, environmentKeys, explicitKeys, type KeySource } from '../../src/index.ts'
import { counting, KNOWN } from '../sample.ts'

const K1 = Buffer.from(KNOWN.kekBytes).toString('base64url')
const K2 = Buffer.from(counting(0x80, 32)).toString('base64url')

describe('keys of the environment', () => {
  it('are read from one variable for each KEK', async () => {
    const environment = {
      TALOS_KEK_v1: K1,
      'TALOS_KEK_2026-01': K2,
      TALOS_CURRENT_KEK_ID: '2026-01',
      TALOS_DECRYPT_ONLY_KEK_IDS: 'v1',
      PATH: '/bin',
    }
    const keyring = await environmentKeys({ environment }).load()
    expect(keyring.ids).toEqual(['2026-01', 'v1'])
    expect(keyring.wishedKekId).toBe('2026-01')
    expect(keyring.get('v1')?.fingerprint).toBe(KNOWN.fingerprint)
    expect(keyring.get('v2')).toBeUndefined()
    expect([
      keyring.isDecryptOnly('v1'),
      keyring.isDecryptOnly('2026-01'),
      keyring.isDecryptOnly('v2'),
    ]).toEqual([true, false, false])
  })

  it('are read from process.env with the prefix TALOS, anew at each load', async () => {
    const source = environmentKeys()
    process.env['TALOS_KEK_v1'] = K1
    process.env['TALOS_CURRENT_KEK_ID'] = 'v1'
    try {
      expect((await source.load()).ids).toEqual(['v1'])
      process.env['TALOS_KEK_v2'] = K2
      expect((await source.load()).ids).toEqual(['v1', 'v2'])
    } finally {
      for (const name of ['TALOS_KEK_v1', 'TALOS_KEK_v2', 'TALOS_CURRENT_KEK_ID']) delete process.env[name]
    }
  })

  it('list nothing as decrypt-only when that variable is empty, as templates set it', async () => {
    const environment = { TALOS_KEK_v1: K1, TALOS_CURRENT_KEK_ID: 'v1', TALOS_DECRYPT_ONLY_KEK_IDS: '' }
    expect((await environmentKeys({ environment }).load()).isDecryptOnly('v1')).toBe(false)
  })

  it('may have another prefix', async () => {
    const environment = { GATEWAY_KEK_v1: K1, GATEWAY_CURRENT_KEK_ID: 'v1', TALOS_KEK_v1: 'ignored' }
    expect((await environmentKeys({ prefix: 'GATEWAY', environment }).load()).ids).toEqual(['v1'])
  })

  it.each(['', '1A', 'A B', 'A-B', 'A='])('may not have the prefix %j', (prefix) => {
    expect(() => environmentKeys({ prefix })).toThrow(TypeError)
  })

  it('ignore variables that are undefined', async () => {
    const environment = { TALOS_KEK_v1: K1, TALOS_KEK_v2: undefined, TALOS_CURRENT_KEK_ID: 'v1' }
    expect((await environmentKeys({ environment }).load()).ids).toEqual(['v1'])
  })
})

describe('explicit keys', () => {
  it('are copied when they are given', async () => {
    const bytes = KNOWN.kekBytes.slice()
    const source = explicitKeys({ currentKekId: 'v1', keks: { v1: bytes } })
    bytes.fill(0)
    for (const keyring of [await source.load(), await source.load()]) {
      expect(keyring.get('v1')?.fingerprint).toBe(KNOWN.fingerprint)
    }
  })

  it.each([
    ['text instead of bytes', { currentKekId: 'v1', keks: { v1: K1 } }],
    ['no current id', { keks: { v1: KNOWN.kekBytes } }],
    [
      'a text of decrypt-only ids',
      { currentKekId: 'v1', keks: { v1: KNOWN.kekBytes }, decryptOnlyKekIds: 'v2' },
    ],
    ['a number as an id', { currentKekId: 'v1', keks: { v1: KNOWN.kekBytes }, decryptOnlyKekIds: [2] }],
    ['no keys', { currentKekId: 'v1' }],
  ])('refuse %s as misuse', (_, options) => {
    expect(() => explicitKeys(options as never)).toThrow(TypeError)
  })
})

describe('every key source', () => {
  const sources: readonly (readonly [string, KeySource])[] = [
    ['environmentKeys', environmentKeys({ environment: { TALOS_KEK_v1: K1, TALOS_CURRENT_KEK_ID: 'v1' } })],
    ['explicitKeys', explicitKeys({ currentKekId: 'v1', keks: { v1: KNOWN.kekBytes } })],
  ]

  it.each(sources)('%s stops when it is aborted', async (_, source) => {
    await expect(source.load({ signal: AbortSignal.abort() })).rejects.toHaveProperty('name', 'AbortError')
    await expect(createCodec({ keys: source, signal: AbortSignal.abort() })).rejects.toHaveProperty(
      'name',
      'AbortError',
    )
  })
})

describe('a keyring', () => {
  const source = explicitKeys({
    currentKekId: 'v1',
    keks: { v2: CANARY_KEK, v1: KNOWN.kekBytes },
    decryptOnlyKekIds: ['v2'],
  })

  it('prints ids, fingerprints and marks only', async () => {
    const keyring = await source.load()
    const v2 = keyring.get('v2')?.fingerprint
    const label = `[keyring v1 ${KNOWN.fingerprint} current, v2 ${v2} decrypt-only]`
    expect([`${keyring}`, inspect(keyring), JSON.stringify({ keyring })]).toEqual([
      label,
      label,
      JSON.stringify({ keyring: label }),
    ])
    const printed = [
      inspect(keyring, { customInspect: false, showHidden: true, depth: 9 }),
      inspect(structuredClone(keyring)),
      inspect(source, { showHidden: true, depth: 9 }),
      JSON.stringify([source, { ...keyring }]),
    ]
    expect(printed.flatMap(findCanaries)).toEqual([])
  })

  it('cannot be changed', async () => {
    const keyring = await source.load()
    expect(() => Object.assign(keyring, { wishedKekId: 'v2' })).toThrow(TypeError)
    expect(() => (keyring.ids as string[]).push('v3')).toThrow(TypeError)
  })
})
