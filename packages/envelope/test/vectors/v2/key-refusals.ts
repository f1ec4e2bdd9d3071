import type { OpenVector, VectorEdit } from '../../../src/testing/vector-file.ts'
import { cut, each, insert, many, type Refusal, refusal, replace, words } from './edits.ts'
import { TEXT_LIMIT } from './form-refusals.ts'
import { heldEnvelope, LOCAL_KEKS, V1, V2 } from './open-vectors.ts'
import {
  contextChanges,
  otherDeks,
  unitOrderCommit,
  wrongCommits,
  wrongSeals,
  wrongWraps,
} from './wrong-parts.ts'

const MASKS = ['01', '80']

/** Refusals by the KEK, the wrapped DEK, the commitment and the tag. */
export function keyRefusals(vectors: readonly OpenVector[]): readonly Refusal[] {
  return [...byKek(), ...byWrap(), ...byCommitment(vectors), ...byTag(), ...ofProvider()]
}

/** The KEK: loaded, allowed, with these bytes. */
function byKek(): Refusal[] {
  const otherIds = LOCAL_KEKS.filter((kek) => kek !== V1 && kek.mayOpen !== false).map(({ id }) => id)
  const unknown = words(
    'v v3 v9 v10 v11 1v v1- v1_ v-1 v_1 v01 a 1 00 file v1file v1-file v1_files v1_file_ v1_fil',
  )
  const names = words('a- a_ constructor valueof null undefined')
  const long = [many(31, 'a'), many(32, 'a'), [many(26, 'a'), '_file-'], [many(31, 'a'), '-']]
  const ofSuite2 = [41, 1064].map((count) => ['0002', many(count)])
  return [
    refusal('kek_unknown', replace('kek_id', 0, null, [...unknown, ...names, ...long])),
    refusal(
      'kek_not_allowed',
      replace('text', 0, null, ['', 'x'].map(heldEnvelope)),
      'empty',
      'in order otherwise',
    ),
    refusal('kek_not_allowed', replace('wrap', 1, 1, ['02'])),
    refusal('kek_not_allowed', replace('wrap', 0, null, ofSuite2)),
    refusal('kek_not_allowed', replace('kek_id', 0, null, ['kms', 'transit'])),
    refusal('kek_mismatch', each('wrap', 2, 8, MASKS)),
    refusal('kek_mismatch', replace('wrap', 2, 8, [many(8), many(8, 'ff'), 'd6bc4ad6c591f3a4'])),
    refusal('kek_mismatch', replace('kek_id', 0, null, otherIds)),
    refusal('kek_mismatch', replace('kek_id', 0, null, [V1.id, '0']), 'other-kek'),
  ]
}

function byWrap(): Refusal[] {
  return [
    refusal('wrap_corrupt', each('wrap', 42, 40, MASKS)),
    refusal('wrap_corrupt', replace('wrap', 42, 40, wrongWraps()), 'known', 'made wrongly'),
  ]
}

function byCommitment(vectors: readonly OpenVector[]): Refusal[] {
  const wrong = (base: string, edit: VectorEdit, why?: string): Refusal => {
    return refusal('commitment_mismatch', edit, base, why)
  }
  const change = (...[first, second]: readonly (readonly [string, string | null])[]): VectorEdit => {
    return ['context', [first ?? ['', ''], second ?? ['', '']]]
  }
  return [
    wrong('known', each('wrap', 10, 32, MASKS)),
    wrong('known', replace('wrap', 10, 32, wrongCommits()), 'made wrongly'),
    wrong('beyond', replace('wrap', 10, 32, [unitOrderCommit(vectors)]), 'pairs sorted by UTF-16'),
    wrong('known', ['context', ...contextChanges()]),
    wrong('nfc', change(['\u00e9', null], ['e\u0301', ''])),
    wrong('nfd', change(['e\u0301', null], ['\u00e9', ''])),
    wrong('nfc-nfd', change(['\u00e9', 'd'], ['e\u0301', 'c'])),
    wrong('known', ['take', 'wrap', 'empty', '16-pairs', 'nfc', 'zero-dek']),
    wrong('empty', replace('wrap', 42, 40, otherDeks('empty')), 'another DEK'),
    wrong(
      'two-keys',
      replace('wrap', 42, 40, otherDeks('two-keys')),
      'another DEK, whose key the tag fits as well',
    ),
  ]
}

function byTag(): Refusal[] {
  const tag = (base: string, edit: VectorEdit, why?: string): Refusal =>
    refusal('payload_corrupt', edit, base, why)
  return [
    tag('known', each('sealed', 0, 43, MASKS)),
    tag('known', cut('sealed', [28, 29, 30, 31, 42])),
    tag('known', replace('sealed', [0, 12, 27], 12, [''])),
    tag('known', insert('sealed', [0, 12, 27, 43], ['00'])),
    tag('known', insert('sealed', 12, [many(65_536), many(1_048_561)])),
    tag('known', ['take', 'sealed', 'empty', '16-pairs', 'other-kek', 'two-keys']),
    tag('empty', ['take', 'sealed', 'zero-dek', 'ones-dek', 'zero-fp', 'kms']),
    tag('empty', ['take', 'wrap', 'zero-dek', 'ones-dek']),
    tag('empty', replace('sealed', 0, 28, wrongSeals('empty')), 'made wrongly'),
  ]
}

/** Under a KEK of suite 0002, whose DEKs are wrapped into 40, 1 and 1,024 bytes. */
function ofProvider(): Refusal[] {
  return [
    refusal('malformed', replace('wrap', 1, 1, ['01']), 'kms-1'),
    refusal('malformed', cut('wrap', [10, 41, 42]), 'kms'),
    refusal('malformed', insert('wrap', 1066, ['00']), 'kms-1024'),
    refusal('kek_not_allowed', replace('wrap', 1, 1, ['01']), 'kms'),
    refusal('kek_not_allowed', replace('kek_id', 0, null, ['v1', '0']), 'kms'),
    refusal('kek_mismatch', each('wrap', 2, 8, ['01']), 'kms'),
    refusal('kek_mismatch', replace('kek_id', 0, null, ['transit']), 'kms', 'another provider'),
    refusal('wrap_corrupt', each('wrap', 42, 40, ['01']), 'kms'),
    refusal('wrap_corrupt', cut('wrap', [43, 50, 81]), 'kms'),
    refusal('wrap_corrupt', insert('wrap', 82, ['00', many(984)]), 'kms'),
    refusal(
      'wrap_corrupt',
      replace('wrap', 42, null, words('00 02 03 04')),
      'kms',
      'no DEK, or of another length',
    ),
    refusal('commitment_mismatch', replace('wrap', 42, null, ['01']), 'kms', 'another DEK'),
    refusal('commitment_mismatch', each('wrap', 10, 32, ['01']), 'kms'),
    refusal('payload_corrupt', ['take', 'sealed', 'kms-1', 'empty'], 'kms'),
  ]
}

/** Two faults each, of which the earlier check names its own. */
export const PRECEDENCE: readonly (readonly [reason: string, ...edits: VectorEdit[]])[] = [
  ['too_large', ['text', 0, 1, 'T'], ['text', 1, 0, many(TEXT_LIMIT, 'A')]],
  ['unsupported', ['wrap', 0, 2, '0003'], ['text', 0, 1, 'T']],
  ['malformed', ['wrap', 0, 2, '0003'], ['text', 9, 2, 'V1']],
  ['unsupported', ['wrap', 0, 2, '0003'], ['wrap', 82, 0, '00']],
  ['malformed', ['wrap', 81, 1, ''], ['kek_id', 0, 2, 'v9']],
  ['malformed', ['sealed', 27, null, ''], ['kek_id', 0, 2, 'held']],
  ['kek_unknown', ['wrap', 2, 1, '00'], ['kek_id', 0, 2, 'v9']],
  ['kek_not_allowed', ['wrap', 81, 1, '00'], ['kek_id', 0, 2, 'held']],
  ['kek_not_allowed', ['wrap', 2, 1, '00'], ['wrap', 1, 1, '02']],
  ['kek_mismatch', ['wrap', 10, 1, '00'], ['kek_id', 0, 2, V2.id]],
  ['kek_mismatch', ['wrap', 2, 1, '00'], ['wrap', 81, 1, '00']],
  ['wrap_corrupt', ['wrap', 81, 1, '00'], ['wrap', 10, 1, '00']],
  ['commitment_mismatch', ['wrap', 10, 1, '00'], ['sealed', 42, 1, '00']],
]
