import { type OpenVector, type VectorEdit, vectorText } from '../../../src/testing/vector-file.ts'
import { cut, each, insert, many, type Refusal, refusal, replace, words } from './edits.ts'

/** The most bytes a text may have. */
export const TEXT_LIMIT = 1_572_864
const PREFIX_LENGTH = 9
const WRAP_START = 'talos:v2:v1:'.length
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** No characters of base64url; the last four look like some, or share their low bits. */
const STRANGE = ['=', ' ', '\n', '\0', '.', '~', '%', '\u00e9', '\u0141', '\uff21', '\u200b', '\u2028']

/** The characters that a lenient decoder reads like this one, of which it drops so many bits. */
function spareBits(text: string, at: number, bits: number): readonly string[] {
  const first = ALPHABET.indexOf(text.charAt(at))
  return [...ALPHABET.slice(first + 1, first + (1 << bits))]
}

/** Refusals that need no key: size, version, grammar, suite and lengths. */
export function formRefusals(vectors: readonly OpenVector[]): readonly Refusal[] {
  const [known = '', empty = ''] = ['known', 'empty'].map((id) => {
    return vectorText(vectors.find((vector) => vector.id === id)?.envelope ?? '')
  })
  return [...bySize(known.length), ...byPrefix(), ...byGrammar(known, empty), ...byLength()]
}

/** Both sides of the limit. At the limit another check answers: no envelope is that long. */
function bySize(all: number): Refusal[] {
  const rest = TEXT_LIMIT - all
  const wide = [many((rest >> 1) + 1, '\u00e9'), many((rest >> 2) + 1, '\ud83d\ude00')]
  const over = [many(TEXT_LIMIT + 1, 'A'), many(TEXT_LIMIT / 3 + 1, '\u20ac')]
  const full = [many(rest, 'v'), [many(rest >> 1, '\u00e9'), many(rest & 1, 'A')]]
  return [
    refusal('too_large', insert('text', [PREFIX_LENGTH, all], [many(rest + 1, 'A'), many(2_000_000, 'A')])),
    refusal('too_large', insert('text', all, wide)),
    refusal('too_large', replace('text', 0, null, over)),
    refusal('malformed', insert('text', [PREFIX_LENGTH, all], full)),
    refusal('unsupported', replace('text', 0, null, [many(TEXT_LIMIT, 'A'), many(TEXT_LIMIT / 3, '\u20ac')])),
  ]
}

/** Version and suite. */
function byPrefix(): Refusal[] {
  const prefixes = words('talos:v1: talos:v3: talos:v20: talos:v02: talos:v: TALOS:V2: talos::v2: v2:talos:')
  const encoded = words('talos%3Av2%3A talos\uff1av2\uff1a t\u0430los:v2: talos:v\u0662: talos:v2\u200b:')
  const suites = words('0000 0003 0004 0010 0080 00ff 0100 0101 0201 8000 8001 ff01 ffff')
  const others = ['{"kek_id":"v1"}', 'sk-live-example', 'null', '\ud83d\ude00']
  return [
    cut('text', { from: 0, count: PREFIX_LENGTH }),
    each('text', 0, PREFIX_LENGTH, ['01', '20']),
    insert('text', 0, [' ', '\n', '\0', '"', '\ufeff', 't', 'v2:', 'talos:', ':']),
    replace('text', 0, PREFIX_LENGTH, [...prefixes, ...encoded, '']),
    replace('text', 0, null, others),
    replace('wrap', 0, 2, suites),
    replace('wrap', 0, null, words('0000 0003 0100 ffff')),
  ].map((edit) => refusal('unsupported', edit))
}

/** Grammar and canonical encoding. */
function byGrammar(known: string, empty: string): Refusal[] {
  const all = known.length
  const sealedAt = known.lastIndexOf(':') + 1
  const wrapEnd = sealedAt - 1
  const places = (character: string): number[] => {
    return [...empty].flatMap((each, at) => (each === character ? [at] : []))
  }
  const ids = words('V1 v1_file 0_file a__file _file _v1 -v1 _ - v.1 v/1 v+1 v=1 v%31 \u00e9 v\u00b9 v\u0661')
  const spacedIds = ['', 'v1 ', ' v1', 'v 1', 'v1\n', '\nv1', 'v1\r', 'v1\0']
  const otherIds = words('\u212a1 \u01311 v\u200b1 \ud83d\ude00')
  const longIds = [[many(27, 'a'), '_file'], many(33, 'a'), many(65_536, 'a')]
  const edits: VectorEdit[] = [
    replace('kek_id', 0, null, [...spacedIds, ...ids, ...otherIds, ...longIds]),
    cut('text', [9, 11, 12, wrapEnd]),
    replace('text', [WRAP_START - 1, wrapEnd], 1, ['', '.', ';', '\uff1a']),
    insert('text', [PREFIX_LENGTH, WRAP_START, wrapEnd, all], [':', ':AAAA']),
    replace('text', [WRAP_START + 40, sealedAt + 20], 1, STRANGE),
    insert('text', [WRAP_START, wrapEnd, sealedAt, all], [' ', '\n', '=', '%3D']),
    insert('text', [wrapEnd, all], ['==', '\r\n', '\0', '"', '\ufeff']),
    replace('text', [wrapEnd - 1, all - 1], 1, ['']),
    insert('text', [wrapEnd, all], ['AAA']),
    replace('text', WRAP_START, wrapEnd - WRAP_START, ['A', 'AAAAA']),
  ]
  // Both fields end in the same character, and in one that stands for two bits of a byte.
  const last = replace('text', [wrapEnd - 1, all - 1], 1, spareBits(known, all - 1, 4))
  if (known.at(wrapEnd - 1) !== known.at(-1)) throw new Error('The spare bits are others.')
  return [
    ...edits.map((edit) => refusal('malformed', edit)),
    refusal('malformed', last, 'known', 'spare bits'),
    refusal('malformed', replace('text', places('-'), 1, ['+']), 'empty'),
    refusal('malformed', replace('text', places('_'), 1, ['/']), 'empty'),
  ]
}

/** Lengths, where everything before them is in order. */
function byLength(): Refusal[] {
  const long = ['00', 'a6', '0000', ...[8, 82, 1024, 65_536].map((count) => many(count))]
  const remote = [0, 7, 31, 40, 1065, 65_536].map((count) => ['0002', many(count)])
  const tooMuch = [1_048_577, 1_048_578, 1_100_000].map((count) => many(count))
  return [
    refusal('malformed', cut('wrap', [0, 1, 2, 3, 9, 10, 11, 41, 42, 43, 50, 66, 74, 80, 81])),
    refusal('malformed', insert('wrap', 82, long)),
    refusal('malformed', replace('wrap', 0, null, remote), 'known', 'suite 0002'),
    refusal('malformed', cut('sealed', [0, 1, 2, 8, 11, 12, 13, 15, 16, 17, 24, 26, 27])),
    refusal('malformed', insert('sealed', 12, tooMuch), 'empty'),
  ]
}
