import { createHash } from 'node:crypto'
import {
  type OpenVector,
  type VectorContext,
  type VectorText,
  vectorText,
} from '../../../src/testing/vector-file.ts'
import { twoKeyPayload } from '../../support/two-key-payload.ts'
import {
  deriveKeys,
  fingerprintOf,
  infoOf,
  type LocalKek,
  type Pairs,
  type ReferenceKek,
  type RemoteKek,
  seal,
  wrapText,
  write,
} from './reference.ts'

const counting = (start: number, length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => start + i))

const KNOWN_DEK = counting(0x20, 32)

/** Bytes that look random and come out the same each time. */
function derived(what: string, length = 32): Buffer {
  return createHash('sha256').update(`talos-envelope/v2 vectors: ${what}`).digest().subarray(0, length)
}

/** The DEK of an envelope that has none of its own choice. */
export function dekOf(id: string): Buffer {
  return id === 'known' ? KNOWN_DEK : derived(`dek of ${id}`)
}

/** The first of many candidates that has a property. */
function search(what: string, isFound: (candidate: Buffer) => boolean): Buffer {
  for (let attempt = 0; ; attempt++) {
    const candidate = derived(`${what} ${attempt}`)
    if (isFound(candidate)) return candidate
  }
}

function local(bytes: Buffer): LocalKek {
  return { id: 'any', suite: '0001', bytes: bytes.toString('hex') }
}

export const V1: LocalKek = { id: 'v1', suite: '0001', bytes: counting(0, 32).toString('hex') }
export const V2: LocalKek = { id: 'v2', suite: '0001', bytes: counting(0x80, 32).toString('hex') }
const ZERO_FINGERPRINT: LocalKek = {
  id: '0',
  suite: '0001',
  bytes: search('kek', (bytes) => fingerprintOf(local(bytes))[0] === 0).toString('hex'),
}
const LONG_ID: LocalKek = {
  id: `k${'123456789-'.repeat(3)}_`,
  suite: '0001',
  bytes: derived('kek long').toString('hex'),
}
const HELD: LocalKek = {
  id: 'held',
  suite: '0001',
  bytes: derived('kek held').toString('hex'),
  mayOpen: false,
}

const KMS_KEY = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const DEKS_OF_KMS = ['1a', '2b', '3c'].map((repeat) => ({ repeat, count: 32 }))
const WRAPPED_BY_KMS: readonly VectorText[] = [
  { repeat: '5a', count: 40 },
  '01',
  { repeat: '00', count: 1024 },
]

/** A provider that knows four DEKs, and answers with other lengths to three wrapped DEKs. */
const KMS_UNWRAPS: readonly (readonly [VectorText, VectorText])[] = [
  ['6b6e6f776e', KNOWN_DEK.toString('hex')],
  ...WRAPPED_BY_KMS.map((wrapped, index) => [wrapped, DEKS_OF_KMS[index] ?? ''] as const),
  ['02', ''],
  ['03', { repeat: '00', count: 31 }],
  ['04', { repeat: '00', count: 33 }],
]
export const KMS: RemoteKek = {
  id: 'kms',
  suite: '0002',
  provider: 'aws-kms',
  key: KMS_KEY,
  unwraps: KMS_UNWRAPS.map(([wrapped, dek]) => [vectorText(wrapped), vectorText(dek)] as const),
}
/** The same name of a key at another provider. */
const TRANSIT: RemoteKek = {
  id: 'transit',
  suite: '0002',
  provider: 'vault-transit',
  key: KMS_KEY,
  unwraps: [],
}

export const LOCAL_KEKS: readonly LocalKek[] = [V1, V2, ZERO_FINGERPRINT, LONG_ID, HELD]
/** The KEKs that are loaded. */
export const KEKS: readonly ReferenceKek[] = [...LOCAL_KEKS, KMS, TRANSIT]
/** The same as the file writes them. */
export const WRITTEN_KEKS: readonly unknown[] = [...LOCAL_KEKS, { ...KMS, unwraps: KMS_UNWRAPS }, TRANSIT]

/** The context of a vector that names none. */
export const PLAIN: Pairs = [['k', 'v']]

interface Making {
  readonly kek?: ReferenceKek
  readonly dek?: Buffer
  readonly nonce?: Buffer
}

/** Another DEK for an envelope: for the one of `two-keys` it is the second one that the tag fits. */
export function otherDek(id: string): Buffer {
  return derived(`other dek of ${id}`)
}

/** The nonce of an envelope that has none of its own choice. */
export function nonceOf(id: string): Buffer {
  return derived(`nonce of ${id}`, 12)
}

/** A context with its texts written out. */
export function pairsOf(context: VectorContext): Pairs {
  return context.map(([key, value]) => [vectorText(key), vectorText(value)] as const)
}

function open(id: string, context: VectorContext, value = '', making: Making = {}): OpenVector {
  const { kek = V1, dek = dekOf(id), nonce = nonceOf(id) } = making
  const pairs = pairsOf(context)
  const envelope = write({ kek, dek, nonce, context: pairs, value: Buffer.from(value) })
  return { id, ...(context === PLAIN ? {} : { context }), ...(value === '' ? {} : { value }), envelope }
}

/**
 * Another value and nonce under the DEK of `empty`. A writer never uses a DEK twice; a reader cannot tell, and the
 * file is shorter.
 */
function openMore(id: string, value: string | Buffer, nonce = nonceOf(id)): OpenVector {
  const info = infoOf(PLAIN)
  const { encKey } = deriveKeys(dekOf('empty'), info)
  const sealed = seal(encKey, nonce, info, Buffer.from(value)).toString('base64url')
  const shown = typeof value === 'string' ? value : { hex: value.toString('hex') }
  return { id, ...(value === '' ? {} : { value: shown }), wrapOf: 'empty', sealed }
}

/** The first of many nonces for the empty value that gives a property. */
function nonceWith(isFound: (sealed: { readonly nonce: string; readonly tag: Buffer }) => boolean): Buffer {
  const info = infoOf(PLAIN)
  const { encKey } = deriveKeys(dekOf('empty'), info)
  return search('nonce', (candidate) => {
    const tag = seal(encKey, candidate.subarray(0, 12), info, Buffer.alloc(0)).subarray(12)
    return isFound({ nonce: candidate.toString('base64url'), tag })
  }).subarray(0, 12)
}

/** GCM makes any ciphertext of some value: one of zeros makes a long envelope short to write. */
function openZeros(length: number): OpenVector {
  const id = `${length}`
  const info = infoOf(PLAIN)
  const { encKey } = deriveKeys(dekOf('empty'), info)
  const value = seal(encKey, nonceOf(id), info, Buffer.alloc(length)).subarray(12, -16)
  const sealed = seal(encKey, nonceOf(id), info, value).toString('base64url')
  const zeros = /A{99,}/.exec(sealed)?.[0] ?? ''
  const [before = '', after = ''] = sealed.split(zeros)
  return {
    id,
    value: { bytes: length, sha256: createHash('sha256').update(value).digest('hex') },
    wrapOf: 'empty',
    sealed: [before, { repeat: 'A', count: zeros.length }, after],
  }
}

function ofKms(index: 0 | 1 | 2): Making {
  return { kek: KMS, dek: Buffer.from(vectorText(DEKS_OF_KMS[index] ?? ''), 'hex') }
}

/** A wrapped DEK of 1,024 zeros, written short. */
function openLongest(id: string): OpenVector {
  const { envelope, ...rest } = open(id, PLAIN, '', ofKms(2))
  const whole = vectorText(envelope ?? '')
  const zeros = /A{99,}/.exec(whole)?.[0] ?? ''
  const [before = '', after = ''] = whole.split(zeros)
  return { ...rest, envelope: [before, { repeat: 'A', count: zeros.length }, after] }
}

/** A payload that authenticates under two DEKs and opens under the one that its wrap commits to. */
function openTwoKeys(id: string): OpenVector {
  const info = infoOf(PLAIN)
  const { encKey, commit } = deriveKeys(dekOf(id), info)
  const keys = [encKey, deriveKeys(otherDek(id), info).encKey] as const
  const openings = [Buffer.from('value of the one'), Buffer.from('and of the other')] as const
  const sealed = twoKeyPayload(keys, nonceOf(id), info, openings)
  // Sealing is its own inverse, but for the tag.
  const value = seal(encKey, nonceOf(id), info, sealed.subarray(12, -16)).subarray(12, -16)
  const envelope = `${wrapText(V1, dekOf(id), commit)}:${sealed.toString('base64url')}`
  return { id, value: { hex: value.toString('hex') }, envelope }
}

/** The envelope of a vector with other DEK and nonce, in order, under a KEK that may not open. */
export function heldEnvelope(value: string): string {
  const id = `held ${value}`
  return write({ kek: HELD, dek: dekOf(id), nonce: nonceOf(id), context: PLAIN, value: Buffer.from(value) })
}

function letters(count: number): Pairs {
  return Array.from({ length: count }, (_, index) => [String.fromCharCode(97 + index), `${index}`] as const)
}

function inOrder(id: string, order: readonly number[], vector: OpenVector): OpenVector {
  const context = vector.context ?? []
  return { id, context: order.flatMap((index) => context.slice(index, index + 1)), wrapOf: vector.id }
}

const KNOWN = open(
  'known',
  [
    ['name', 'openai/prod'],
    ['namespace', 'gateway'],
    ['z', '1'],
    ['\u00e9', ''],
  ],
  'sk-live-example',
  { nonce: counting(0x40, 12) },
)

/** Every envelope that opens. */
export function openVectors(): readonly OpenVector[] {
  const zeroCommit = search('dek', (dek) => deriveKeys(dek, infoOf(PLAIN)).commit[0] === 0)
  const same = { value: 'sk-live-example' }
  return [
    KNOWN,
    { ...inOrder('reversed', [3, 2, 1, 0], KNOWN), ...same },
    { ...inOrder('shuffled', [2, 0, 3, 1], KNOWN), ...same },
    open('empty', PLAIN),
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 32, 33].map((length) =>
      openMore(`${length}`, 'x'.repeat(length)),
    ),
    openMore('text', 'p\u00e4ss \u20ac\ud83d\ude00\r\n'),
    openMore('nfc-value', '\u00e9'),
    openMore('nfd-value', 'e\u0301'),
    openMore('bom', '\ufeff'),
    openMore('last', '\u{10ffff}'),
    openMore('nul', '\0'),
    openMore('newline', '\n'),
    openMore('space', ' '),
    openMore('tab', '\t'),
    openMore('quote', '"'),
    openMore('slash', '\\'),
    openMore('json', '{"a":1}'),
    openMore('not-utf8', Buffer.from('ff00c328fe', 'hex')),
    openMore('surrogate', Buffer.from('eda080', 'hex')),
    openMore('zeros', Buffer.alloc(17)),
    openMore('zero-nonce', '', Buffer.alloc(12)),
    openMore('ones-nonce', '', Buffer.alloc(12, 0xff)),
    openMore(
      'hyphen',
      '',
      nonceWith(({ nonce }) => nonce.startsWith('-')),
    ),
    openMore(
      'zero-tag',
      '',
      nonceWith(({ tag }) => tag[0] === 0),
    ),
    ...[65_536, 65_537, 1_048_576].map(openZeros),
    open('zero-dek', PLAIN, '', { dek: Buffer.alloc(32) }),
    open('ones-dek', PLAIN, 'x', { dek: Buffer.alloc(32, 0xff) }),
    open('zero-commit', PLAIN, '', { dek: zeroCommit }),
    open('zero-fp', PLAIN, '', { kek: ZERO_FINGERPRINT }),
    open('long-id', PLAIN, '', { kek: LONG_ID }),
    open('other-kek', PLAIN, '', { kek: V2 }),
    openTwoKeys('two-keys'),
    open('16-pairs', letters(16)),
    open('long-keys', [
      [{ repeat: 'k', count: 128 }, ''],
      [{ repeat: '\ud83d\ude00', count: 32 }, ''],
    ]),
    open('8192', [
      ['a', { repeat: 'v', count: 4096 }],
      ['b', [{ repeat: '\u20ac', count: 1364 }, 'vv']],
    ]),
    ...ofCharacters(),
    open('kms', PLAIN, 'x', ofKms(0)),
    open('kms-1', PLAIN, '', ofKms(1)),
    openLongest('kms-1024'),
  ]
}

/** Contexts whose order and characters are easily got wrong. */
function ofCharacters(): readonly OpenVector[] {
  return [
    open('nfc', [['\u00e9', '']]),
    open('nfd', [['e\u0301', '']]),
    open('nfc-nfd', [
      ['\u00e9', 'c'],
      ['e\u0301', 'd'],
    ]),
    open('beyond', [
      ['\ud800\udc00', '4'],
      ['\uffff', '3'],
      ['\ue000', '2'],
      ['\ud7ff', '1'],
    ]),
    open(
      'order',
      ['abc', 'b', 'ab', 'a', '_', 'Z', 'A'].map((key) => [key, ''] as const),
    ),
    open('members', [
      ['10', '1e1'],
      ['9', '09'],
      ['__proto__', 'a'],
      ['constructor', ''],
    ]),
    open('odd', [
      ['a=b&c', 'd:e,f'],
      ['"\\/', '{"}'],
      [' ', '\t\r\n'],
      ['\x01\x7f\x80', '\u2028\ufeff\ufffd\ufffe\u{10ffff}'],
    ]),
  ]
}
