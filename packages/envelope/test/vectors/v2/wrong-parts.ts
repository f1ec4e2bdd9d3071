import type { OpenVector, VectorContextChanges, VectorText } from '../../../src/testing/vector-file.ts'
import { dekOf, nonceOf, otherDek, PLAIN, pairsOf, V1, V2 } from './open-vectors.ts'
import { deriveKeys, infoOf, type Pairs, pae, seal, wrapKey } from './reference.ts'

const KNOWN: Pairs = [
  ['name', 'openai/prod'],
  ['namespace', 'gateway'],
  ['z', '1'],
  ['\u00e9', ''],
]
const DECOMPOSED: Pairs = [...KNOWN.slice(0, 3), ['e\u0301', '']]

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What AES-KW must refuse in place of the wrapped DEK of the known answer. */
export function wrongWraps(): readonly VectorText[] {
  const dek = dekOf('known')
  const wraps = [
    wrapKey(V2.bytes, dek),
    wrapKey(V1.bytes, dek, Buffer.alloc(8)),
    // The initial value of KWP, RFC 5649.
    wrapKey(V1.bytes, dek, Buffer.from('a65959a600000020', 'hex')),
  ]
  return [{ repeat: '00', count: 40 }, [{ repeat: 'a6', count: 8 }, hex(dek)], ...wraps.map(hex)]
}

function bytewise(rank: (byte: number) => number): (left: Uint8Array, right: Uint8Array) => -1 | 0 | 1 {
  return (left, right) => Buffer.compare(Buffer.from(left.map(rank)), Buffer.from(right.map(rank)))
}

/** What a writer with one error puts in place of the commitment of the known answer. */
export function wrongCommits(): readonly VectorText[] {
  const dek = dekOf('known')
  const info = infoOf(KNOWN)
  const encodings = [
    infoOf(KNOWN, undefined, '0002'),
    infoOf(
      KNOWN,
      bytewise((byte) => byte ^ 0x80),
    ),
    infoOf(DECOMPOSED),
    pae(KNOWN.flat().map((text) => Buffer.from(text))),
  ]
  const commits = encodings.map((encoding) => deriveKeys(dek, encoding).commit)
  return [{ repeat: '00', count: 32 }, hex(deriveKeys(dek, info).encKey), ...commits.map(hex)]
}

/** The commitment to pairs that were sorted by the units of UTF-16. */
export function unitOrderCommit(vectors: readonly OpenVector[]): string {
  const pairs = pairsOf(vectors.find(({ id }) => id === 'beyond')?.context ?? PLAIN)
  const byUnits = (left: Uint8Array, right: Uint8Array): -1 | 1 => {
    return Buffer.from(left).toString() < Buffer.from(right).toString() ? -1 : 1
  }
  return hex(deriveKeys(dekOf('beyond'), infoOf(pairs, byUnits)).commit)
}

/** Other DEKs, wrapped in order under the KEK of the envelope. */
export function otherDeks(id: string): readonly string[] {
  return [hex(wrapKey(V1.bytes, otherDek(id)))]
}

/** Sealed bytes of the empty value that differ in what they were made with. */
export function wrongSeals(id: string): readonly VectorText[] {
  const [dek, nonce] = [dekOf(id), nonceOf(id)]
  const info = infoOf(PLAIN)
  const { encKey } = deriveKeys(dek, info)
  const nothing = Buffer.alloc(0)
  const seals = [
    seal(encKey, nonce, nothing, nothing),
    seal(encKey, nonce, pae(PLAIN.flat().map((text) => Buffer.from(text))), nothing),
    seal(dek, nonce, info, nothing),
  ]
  return [[hex(nonce), { repeat: '00', count: 16 }], ...seals.map(hex)]
}

/** Changes of the context of the known answer. */
export function contextChanges(): readonly VectorContextChanges[] {
  type Changes = VectorContextChanges
  const names = [
    'openai/Prod',
    'openai/prod ',
    ' openai/prod',
    'openai/prod\n',
    'openai/pro',
    'openai/prodd',
    '',
  ]
  const likeNames = [
    'openai\\prod',
    'openai%2Fprod',
    '\ufeffopenai/prod',
    'openai/prod\u200b',
    'opena\u0131/prod',
  ]
  return [
    ...['name', 'namespace', 'z', '\u00e9'].map((key): Changes => [[key, null]]),
    ...['a', 'Name', 'e\u0301', '\u{10000}'].map((key): Changes => [[key, '']]),
    ...[...names, ...likeNames].map((value): Changes => [['name', value]]),
    ...['Name', 'name ', 'n\u0430me'].map(
      (key): Changes => [
        ['name', null],
        [key, 'openai/prod'],
      ],
    ),
    ...['', '2', '01', ' 1', '\uff11'].map((value): Changes => [['z', value]]),
    [['\u00e9', ' ']],
    ...['e\u0301', '\u00c9', 'e'].map(
      (key): Changes => [
        ['\u00e9', null],
        [key, ''],
      ],
    ),
    ...(
      [
        ['name', 'gateway', 'namespace', 'openai/prod'],
        ['name', null, 'nam', 'eopenai/prod'],
        ['name', 'openai/prodnamespacegateway', 'namespace', null],
        ['name', null, 'openai/prod', 'name'],
        ['\u00e9', null, 'z', '1\u00e9'],
      ] as const
    ).map(
      ([first, left, second, right]): Changes => [
        [first, left],
        [second, right],
      ],
    ),
    [['k', { repeat: 'v', count: 4096 }]],
  ]
}
