import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CANARY_KEK, findCanaries } from '../../../../test/canaries.ts'
import {
  environmentKeys,
  explicitKeys,
  isEnvelopeError,
  KeyError,
  type KeyFault,
  type KeySource,
} from '../../src/index.ts'
import { counting } from '../sample.ts'

const GOOD = Buffer.from(counting(0, 32)).toString('base64url')
const CANARY = Buffer.from(CANARY_KEK).toString('base64url')
const STANDARD = Buffer.from(counting(0xe0, 32)).toString('base64')

async function failureOf(source: KeySource): Promise<KeyError> {
  const outcome: unknown = await source.load().catch((error: unknown) => error)
  if (!(outcome instanceof KeyError)) throw new Error('The key source reported no fault.')
  expect(isEnvelopeError(outcome)).toBe(true)
  expect(outcome).toMatchObject({ code: 'ERR_KEY_CONFIGURATION', kekId: null, retryable: false })
  expect(findCanaries(inspect(outcome, { showHidden: true, depth: 9 }) + JSON.stringify(outcome))).toEqual([])
  return outcome
}

async function faultsOf(environment: Record<string, string>): Promise<readonly KeyFault[]> {
  return (await failureOf(environmentKeys({ environment }))).faults
}

/** The faults of one KEK's text beside a good current one. */
async function faultsOfText(text: string): Promise<readonly string[]> {
  const faults = await faultsOf({ TALOS_KEK_v1: GOOD, TALOS_KEK_v2: text, TALOS_CURRENT_KEK_ID: 'v1' })
  expect(faults.every(({ variable }) => variable === 'TALOS_KEK_v2')).toBe(true)
  return faults.map(({ fault }) => fault)
}

describe('the text of a KEK', () => {
  it.each<[string, string, readonly RegExp[]]>([
    ['is empty', '', [/^is empty/]],
    ['is white space', '  ', [/white space/, /^has 0 characters/]],
    ['ends in a newline', `${CANARY}\n`, [/white space around .* newline/]],
    ['has padding', `${CANARY}=`, [/padding: strip the trailing =/]],
    ['is standard base64', STANDARD, [/padding/, /standard base64.* replace \+ by - and \/ by _/]],
    ['has characters of no base64', `${CANARY.slice(0, 42)}!`, [/outside of base64url/]],
    ['has inner white space', `${CANARY.slice(0, 21)} ${CANARY.slice(22)}`, [/outside of base64url/]],
    ['is too short', CANARY.slice(0, 42), [/^has 42 characters: .* have 43$/]],
    ['is too long', `${CANARY}A`, [/^has 44 characters/]],
    [
      'is hexadecimal',
      Buffer.from(CANARY_KEK).toString('hex'),
      [/^has 64 characters.* looks like hexadecimal/],
    ],
    ['is not canonical', `${GOOD.slice(0, 42)}9`, [/not canonical/]],
    [
      'is a password',
      Buffer.from('correct horse battery staple 123').toString('base64url'),
      [/printable ASCII/],
    ],
    ['is one byte repeated', Buffer.alloc(32, 0x8a).toString('base64url'), [/fewer than 12 distinct bytes/]],
    [
      'has 11 distinct bytes',
      Buffer.from(counting(0, 32).map((n) => n % 11)).toString('base64url'),
      [/fewer than 12/],
    ],
    ['is another id’s key', GOOD, [/^holds the same bytes as TALOS_KEK_v1/]],
  ])('is refused when it %s', async (_, text, expected) => {
    const faults = await faultsOfText(text)
    expect(faults).toHaveLength(expected.length)
    for (const [index, pattern] of expected.entries()) expect(faults[index]).toMatch(pattern)
  })

  it('is taken with 12 distinct bytes', async () => {
    const environment = {
      TALOS_KEK_v1: Buffer.from(counting(0, 32).map((n) => n % 12)).toString('base64url'),
      TALOS_CURRENT_KEK_ID: 'v1',
    }
    await expect(environmentKeys({ environment }).load()).resolves.toHaveProperty('ids', ['v1'])
  })
})

describe('the ids in variables', () => {
  const rest = { TALOS_KEK_v1: GOOD, TALOS_CURRENT_KEK_ID: 'v1' }

  it.each<[string, Record<string, string>, KeyFault['variable'], RegExp]>([
    ['upper case', { TALOS_KEK_V2: CANARY }, 'TALOS_KEK_V2', /upper-case id: spell it TALOS_KEK_v2$/],
    [
      'a difference in case only',
      { TALOS_KEK_V1: CANARY },
      'TALOS_KEK_V1',
      /differs from TALOS_KEK_v1 in case only/,
    ],
    [
      'the ending _file',
      { TALOS_KEK_v2_file: '/run/secrets/v2' },
      'TALOS_KEK_v2_file',
      /_file: such ids are reserved/,
    ],
    [
      'the ending _File',
      { TALOS_KEK_v2_File: '/run/secrets/v2' },
      'TALOS_KEK_v2_File',
      /_file: such ids are reserved/,
    ],
    ['nothing', { TALOS_KEK_: CANARY }, 'TALOS_KEK_<id>', /an id of 0 characters that is no KEK id/],
    ['a dot', { 'TALOS_KEK_v2.1': CANARY }, 'TALOS_KEK_<id>', /an id of 4 characters .* not shown/],
    [
      '33 characters',
      { [`TALOS_KEK_${'a'.repeat(33)}`]: CANARY },
      'TALOS_KEK_<id>',
      /an id of 33 characters/,
    ],
    ['a KEK', { [`TALOS_KEK_${CANARY}`]: CANARY }, 'TALOS_KEK_<id>', /an id of 43 characters/],
  ])('are refused with %s', async (_, extra, variable, pattern) => {
    const faults = await faultsOf({ ...rest, ...extra })
    expect(faults).toHaveLength(1)
    expect(faults[0]?.variable).toBe(variable)
    expect(faults[0]?.fault).toMatch(pattern)
  })

  it('are not reported as missing as well when they are spelt in upper case', async () => {
    const faults = await faultsOf({ TALOS_KEK_V1: CANARY, TALOS_CURRENT_KEK_ID: 'v1' })
    expect(faults.map(({ variable }) => variable)).toEqual(['TALOS_KEK_V1'])
  })
})

describe('the ids that variables name', () => {
  const rest = { TALOS_KEK_v1: GOOD, TALOS_KEK_v2: CANARY }
  const current = 'TALOS_CURRENT_KEK_ID'
  const decryptOnly = 'TALOS_DECRYPT_ONLY_KEK_IDS'

  it.each<[string, Record<string, string>, KeyFault['variable'], RegExp]>([
    ['no current id', {}, current, /^is missing/],
    ['an empty current id', { [current]: '' }, current, /^is empty/],
    ['a current id that is not loaded', { [current]: 'v3' }, current, /^names v3, which is not among/],
    ['an upper-case current id', { [current]: 'V1' }, current, /upper-case id: spell it v1$/],
    ['white space around the current id', { [current]: 'v1 ' }, current, /white space/],
    [
      'a KEK instead of the current id',
      { [current]: CANARY },
      current,
      /^names a text of 43 characters .* not shown$/,
    ],
    [
      'an unknown decrypt-only id',
      { [current]: 'v1', [decryptOnly]: 'v2,v3' },
      decryptOnly,
      /^lists v3, which is not/,
    ],
    [
      'the current id as decrypt-only',
      { [current]: 'v1', [decryptOnly]: 'v2,v1' },
      decryptOnly,
      /^lists v1, which TALOS_CURRENT_KEK_ID names/,
    ],
    ['a list of white space', { [current]: 'v1', [decryptOnly]: ' ' }, decryptOnly, /white space/],
    ['a comma too many', { [current]: 'v1', [decryptOnly]: 'v2,' }, decryptOnly, /lists an empty id/],
    ['a space behind a comma', { [current]: 'v1', [decryptOnly]: 'v2, v2' }, decryptOnly, /white space/],
    ['an upper-case decrypt-only id', { [current]: 'v1', [decryptOnly]: 'V2' }, decryptOnly, /spell it v2$/],
    [
      'a KEK in the list',
      { [current]: 'v1', [decryptOnly]: CANARY },
      decryptOnly,
      /^lists a text of 43 characters/,
    ],
  ])('are refused with %s', async (_, extra, variable, pattern) => {
    const faults = await faultsOf({ ...rest, ...extra })
    expect(faults).toHaveLength(1)
    expect(faults[0]?.variable).toBe(variable)
    expect(faults[0]?.fault).toMatch(pattern)
  })
})

describe('a misconfigured key source', () => {
  it('reports all faults at once, each on a line of its own', async () => {
    const environment = {
      TALOS_KEK_v1: `${CANARY}=`,
      TALOS_KEK_V2: 'short',
      TALOS_KEK_v3: GOOD,
      TALOS_KEK_v4: GOOD,
      TALOS_CURRENT_KEK_ID: CANARY,
      TALOS_DECRYPT_ONLY_KEK_IDS: 'v9',
    }
    const { message, faults } = await failureOf(environmentKeys({ environment }))
    expect(faults.map(({ variable }) => variable)).toEqual([
      'TALOS_KEK_V2',
      'TALOS_KEK_V2',
      'TALOS_KEK_v1',
      'TALOS_KEK_v4',
      'TALOS_CURRENT_KEK_ID',
      'TALOS_DECRYPT_ONLY_KEK_IDS',
    ])
    expect(message.split('\n')).toEqual([
      'The key source is misconfigured (6 faults):',
      ...faults.map(({ variable, fault }) => `- ${variable} ${fault}`),
    ])
  })

  it('says so when nothing is configured', async () => {
    const { message } = await failureOf(environmentKeys({ environment: {} }))
    expect(message.split('\n')).toEqual([
      'The key source is misconfigured (2 faults):',
      '- TALOS_KEK_<id> is missing: no KEK is configured',
      '- TALOS_CURRENT_KEK_ID is missing: name the id of the KEK to wrap under',
    ])
  })

  it.each<[string, Record<string, Uint8Array>, RegExp]>([
    ['short', { v2: CANARY_KEK.subarray(0, 31) }, /^keks\.v2 has 31 bytes: a KEK has 32$/],
    ['weak', { v2: new Uint8Array(32) }, /^keks\.v2 is weak/],
    ['a copy', { v2: counting(0, 32) }, /^keks\.v2 holds the same bytes as keks\.v1/],
    ['called in upper case', { V2: CANARY_KEK }, /^keks\.V2 has an upper-case id: spell it keks\.v2$/],
  ])('reports an explicit KEK that is %s', async (_, keks, pattern) => {
    const source = explicitKeys({ currentKekId: 'v1', keks: { v1: counting(0, 32), ...keks } })
    const { faults } = await failureOf(source)
    expect(faults).toHaveLength(1)
    expect(`${faults[0]?.variable} ${faults[0]?.fault}`).toMatch(pattern)
  })

  it('reports explicit ids by the names of the options', async () => {
    const source = explicitKeys({ currentKekId: 'v9', keks: { v1: CANARY_KEK }, decryptOnlyKekIds: ['v8'] })
    const { faults } = await failureOf(source)
    expect(faults.map(({ variable }) => variable)).toEqual(['currentKekId', 'decryptOnlyKekIds'])
  })
})
