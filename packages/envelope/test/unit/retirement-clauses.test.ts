import type {
  InstanceStatus,
  KekFence,
  RetirementEvidence,
  RetirementReasonCode,
  SourceEvidence,
} from '@talos/envelope'
import { describe, expect, test } from 'vitest'
import type { KekEntry } from '../../src/lifecycle/keyring-document.ts'
import { judge, type RetirementCase } from '../../src/lifecycle/retirement/clauses.ts'

const FENCE: KekFence = { at: '2030-01-01T00:00:00.000Z', epoch: 2, incarnation: 'one' }
const FENCED_MS = Date.UTC(2030, 0, 1)
const HOUR_MS = 3_600_000

const ENTRY: KekEntry = {
  fingerprint: '0123456789abcdef',
  suite: '0001',
  state: 'decrypt-only',
  promotedAt: '2029-01-01T00:00:00.000Z',
  fence: FENCE,
  suspendedAt: null,
  retiredAt: null,
  compromisedAt: null,
  escrowedAt: '2029-01-01T00:00:00.000Z',
}

const INSTANCE: InstanceStatus = {
  instanceId: 'i1',
  process: 'web/1',
  role: 'member',
  state: 'live',
  ageMs: 0,
  startedAt: '2030-01-01T00:00:00.000Z',
  epochSeen: 3,
  wishedKekId: 'v2',
  keks: { v2: { holding: 'held', fingerprint: 'fedcba9876543210' } },
  agrees: true,
}

/** Evidence by which v1 is safe to retire. */
const CLEAN: RetirementEvidence = {
  S1: { records: 0, census: { v2: 5 }, begunAt: '2030-01-02T00:00:00.000Z' },
  S2: { fence: FENCE, revision: 3 },
  S3: { kind: 'postgres', level: 'strong', reasons: [] },
  S4: { sources: [], elsewhere: [], statement: 'None declared.' },
  S5: { operation: { id: 'o1', status: 'completed', targetKekId: 'v2' } },
  S6: { needed: ['v2'], instances: [INSTANCE] },
  S7: { currentKekId: 'v2', sameBytesAs: [] },
  S8: { incarnation: 'one', incarnationAtFence: 'one', epoch: 3, highestEpoch: 3 },
  S9: { escrowedAt: '2029-01-01T00:00:00.000Z', acceptedLossOfBackups: null },
}

const about = (
  evidence: Partial<RetirementEvidence>,
  more: Partial<Omit<RetirementCase, 'evidence'>> = {},
): RetirementCase => ({
  kekId: 'v1',
  entry: ENTRY,
  nowMs: FENCED_MS + 24 * HOUR_MS,
  ...more,
  evidence: { ...CLEAN, ...evidence },
})

const source = (
  envelopes: number | null,
  maxAgeMs: number | null,
  fault: SourceEvidence['fault'] = null,
): Partial<RetirementEvidence> => ({
  S4: { sources: [{ name: 'queue', envelopes, maxAgeMs, fault }], elsewhere: [], statement: '' },
})
const elsewhere = (...processes: readonly string[]): Partial<RetirementEvidence> => ({
  S4: { sources: [], elsewhere: [{ name: 'orders', processes }], statement: '' },
})
const operation = (status: string, targetKekId: string): Partial<RetirementEvidence> => ({
  S5: { operation: { id: 'o1', status, targetKekId } },
})
const instance = (...changes: readonly Partial<InstanceStatus>[]): Partial<RetirementEvidence> => ({
  S6: { needed: ['v2'], instances: changes.map((change) => ({ ...INSTANCE, ...change })) },
})
const went = (change: Partial<RetirementEvidence['S8']>): Partial<RetirementEvidence> => ({
  S8: { ...CLEAN.S8, ...change },
})
const missing = { v2: { holding: 'missing', fingerprint: null } } as const
const otherBytes = { v2: { holding: 'other_bytes', fingerprint: '0000000000000000' } } as const
const current = { ...ENTRY, state: 'current', fence: null } as const

/** Each clause alone, by hand: the evidence, its code, and what the message has to name. */
const VIOLATED: readonly (readonly [string, RetirementCase, RetirementReasonCode, string])[] = [
  ['S1', about({ S1: { ...CLEAN.S1, records: 1 } }), 'records_remain', '1 secret is still under KEK "v1"'],
  ['S1', about({ S1: { ...CLEAN.S1, records: 9 } }), 'records_remain', '9 secrets are still under'],
  ['S2', about({ S2: { fence: null, revision: 3 } }), 'never_fenced', 'no fence of KEK "v1"'],
  ['S2', about({ S2: { fence: FENCE, revision: 2 } }), 'never_fenced', 'its revision is 2 at epoch 3'],
  [
    'S3',
    about({ S3: { kind: 'redis', level: 'advisory', reasons: ['appendonly is no'] } }),
    'store_advisory',
    'appendonly is no',
  ],
  ['S4', about(source(2, null)), 'source_holds_envelopes', '"queue" holds 2 envelopes under KEK "v1"'],
  ['S4', about(source(1, null)), 'source_holds_envelopes', '"queue" holds 1 envelope under KEK "v1"'],
  [
    'S4',
    about(source(null, null, { code: 'ERR_SOURCE_FAILED', message: 'It did not answer.' })),
    'source_not_counted',
    '"queue" holds under KEK "v1" is not known (ERR_SOURCE_FAILED). It did not answer. Mend it',
  ],
  [
    'S4',
    about(elsewhere('web/1', 'web/2')),
    'source_not_declared_here',
    '"orders" is declared by web/1, web/2 and not by this instance',
  ],
  [
    'S4',
    about(source(null, HOUR_MS), { nowMs: FENCED_MS + HOUR_MS - 1 }),
    'source_not_expired',
    'until 2030-01-01T01:00:00.000Z',
  ],
  [
    'S4',
    about(source(null, HOUR_MS), { entry: { ...ENTRY, fence: { ...FENCE, at: 'no time' } } }),
    'source_not_expired',
    'until its age after the fence has passed',
  ],
  ['S5', about(operation('running', 'v1')), 'operation_targets_it', 'The rotation o1 is still going'],
  ['S5', about(operation('paused', 'v1')), 'operation_targets_it', 'The rotation o1 is still going'],
  [
    'S6',
    about(instance({ agrees: false, epochSeen: 2 })),
    'instance_behind',
    'web/1 has seen epoch 2 and not 3',
  ],
  [
    'S6',
    about(instance({ agrees: false, keks: missing })),
    'instance_disagrees',
    'web/1 cannot read or write everything: KEK "v2" is missing there',
  ],
  [
    'S6',
    about(instance({ agrees: false, keks: otherBytes })),
    'instance_disagrees',
    'KEK "v2" is loaded with other bytes there',
  ],
  [
    'S6',
    about(instance({ agrees: false, role: 'unknown', process: 'i9', epochSeen: 0, keks: {} })),
    'instance_unknown',
    'What i9 reports of itself cannot be read',
  ],
  [
    'S7',
    about({ S2: { fence: null, revision: 3 } }, { entry: current }),
    'is_current',
    'KEK "v1" is current',
  ],
  [
    'S7',
    about({ S7: { currentKekId: 'v2', sameBytesAs: ['v0', 'v2'] } }),
    'same_bytes',
    '"v0", "v2" has the same bytes as KEK "v1"',
  ],
  ['S8', about(went({ incarnation: 'two' })), 'incarnation_changed', 'KEK "v1" was fenced on'],
  ['S8', about(went({ highestEpoch: 4 })), 'epoch_went_back', 'at epoch 3, and epoch 4 has been seen'],
  [
    'S9',
    about({ S9: { escrowedAt: null, acceptedLossOfBackups: null } }),
    'escrow_not_recorded',
    'No escrow of KEK "v1" was recorded',
  ],
]

describe('the clauses of a retirement', () => {
  test('find nothing in clean evidence', () => {
    expect(judge(about({}))).toEqual([])
  })

  test.for(VIOLATED)('%s is found alone, as $2: $3', ([clause, evidence, code, says]) => {
    const reasons = judge(evidence)
    expect(reasons).toEqual([
      {
        clause,
        code,
        weight: code === 'store_advisory' ? 'advises' : 'blocks',
        message: expect.stringContaining(says),
      },
    ])
  })

  test('have all their codes in that table', () => {
    expect(new Set(VIOLATED.map(([clause]) => clause)).size).toBe(9)
    expect(new Set(VIOLATED.map(([, , code]) => code)).size).toBe(16)
  })

  test.for<readonly [string, RetirementCase]>([
    ['a source that counts none', about(source(0, null))],
    [
      'a source whose oldest envelope is from the fence',
      about(source(null, HOUR_MS), { nowMs: FENCED_MS + HOUR_MS }),
    ],
    ['no rotation at all', about({ S5: { operation: null } })],
    ['a rotation towards another KEK', about(operation('running', 'v2'))],
    ['a rotation towards it that has failed', about(operation('failed', 'v1'))],
    ['a rotation towards it that was completed', about(operation('completed', 'v1'))],
    ['a rotation towards it that was cancelled', about(operation('cancelled', 'v1'))],
    ['a silent instance', about(instance({ state: 'silent', agrees: false, epochSeen: 1 }))],
    [
      'an observer without the current KEK',
      about(instance({ role: 'observer', agrees: false, keks: missing })),
    ],
    ['a fleet of nobody', about(instance())],
    ['an epoch that nobody has seen more of', about(went({ highestEpoch: 3 }))],
    [
      'an accepted loss of backups',
      about({ S9: { escrowedAt: null, acceptedLossOfBackups: 'there are none' } }),
    ],
  ])('do not mind %s', ([, evidence]) => {
    expect(judge(evidence)).toEqual([])
  })

  test('are all looked at, however many do not hold, in their order', () => {
    const everything = about({
      S1: { ...CLEAN.S1, records: 1 },
      S2: { fence: null, revision: 3 },
      S3: { kind: 'redis', level: 'advisory', reasons: ['one', 'two'] },
      ...source(2, null),
      ...operation('running', 'v1'),
      ...instance({ agrees: false, epochSeen: 2 }, { agrees: false, keks: missing }),
      S7: { currentKekId: 'v2', sameBytesAs: ['v0'] },
      ...went({ incarnation: 'two', highestEpoch: 4 }),
      S9: { escrowedAt: null, acceptedLossOfBackups: null },
    })
    expect(judge(everything).map(({ clause }) => clause)).toEqual([
      'S1',
      'S2',
      'S3',
      'S3',
      'S4',
      'S5',
      'S6',
      'S6',
      'S7',
      'S8',
      'S8',
      'S9',
    ])
  })
})
