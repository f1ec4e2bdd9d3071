import type {
  CheckRetirementOptions,
  RetirementClause,
  RetirementReasonCode,
  SecretVault,
} from '@talos/envelope'
import type { Scene } from './scene.ts'

/** The stores of this repository, but for the one in memory, which keeps nothing. */
export const STORES = {
  sqlite: 'SQLite',
  postgres: 'PostgreSQL',
  redis: 'Redis',
  dynamodb: 'DynamoDB',
} as const
export type StoreName = keyof typeof STORES

/** What is asked at the end of a scenario: whom, of which KEK, with which claims. */
export interface Asked {
  readonly vault: SecretVault
  readonly kekId: string
  readonly claims?: CheckRetirementOptions
}

/** A way in which one clause, and no other, comes not to hold. */
export interface Scenario {
  /** A sentence without its end. */
  readonly title: string
  /** `weak`: a store that is set up so that it may lose what it acknowledged. @defaultValue strong */
  readonly setUp?: 'weak'
  run(scene: Scene): Promise<Asked>
}

/** Either how a reason comes about on a store, or why it never does there. */
export type Cell = { readonly scenarios: readonly Scenario[] } | { readonly cannot: string }

export interface MatrixRow {
  readonly clause: RetirementClause
  readonly cells: Readonly<Record<StoreName, Cell>>
}

/** The same on every store, because nothing in it depends on the store; run on each all the same. */
function onEvery(...scenarios: readonly Scenario[]): Readonly<Record<StoreName, Cell>> {
  const cell = { scenarios }
  return { sqlite: cell, postgres: cell, redis: cell, dynamodb: cell }
}

const weak = (title: string): Cell => ({
  scenarios: [
    { title, setUp: 'weak', run: async (scene) => ({ vault: await scene.rotated(), kekId: 'v1' }) },
  ],
})

/** Why a fence has settled wherever its document can be read, and its revisions did not begin anew. */
export const SETTLING: Readonly<Record<StoreName, string>> = {
  sqlite:
    'the keyring document and every write are changed in transactions of which a file has one at a time, each with the revision ' +
    'compared inside',
  postgres:
    'a change of the keyring document waits, by a lock on the fence table, for every transaction that writes, and gives up ' +
    'unchanged rather than go on beside one',
  redis: 'guard and changes are one script, and a server runs one script at a time',
  dynamodb:
    'a transaction compares one of 16 guard items; a change of the keyring document returns, and a read of it answers, when all ' +
    'of them carry its revision, and whoever finds one behind finishes the change first',
}

/** The checks of the conformance kit that prove it, by their titles. */
export const FENCE_CHECKS: readonly (readonly [clause: string, title: string])[] = [
  ['GUARD-3', 'lets no write with an older guard take effect once writeDocument has returned'],
  ['GUARD-4', 'lets no write with an older guard take effect once readDocument has shown the new revision'],
  ['GUARD-4', 'shows every client the revision that a fence returned'],
  ['GUARD-3', 'lets no transaction that passed the guard before the fence take effect after it'],
  [
    'GUARD-4',
    'shows no new revision while a transaction that passed the guard before it can still take effect',
  ],
]

/** Every reason against a retirement, on every store. A pair in neither a scenario nor a reason does not compile. */
export const MATRIX: Readonly<Record<RetirementReasonCode, MatrixRow>> = {
  records_remain: {
    clause: 'S1',
    cells: onEvery(
      {
        title: 'a secret was not re-wrapped, because nobody has rotated',
        run: async (scene) => ({ vault: await scene.promoted(), kekId: 'v1' }),
      },
      {
        title: 'a record from before the rotation was put back after it',
        async run(scene) {
          const vault = await scene.promoted()
          const [record] = await scene.store.read(['a'])
          await scene.rotate(vault)
          await scene.putBack(record)
          return { vault, kekId: 'v1' }
        },
      },
    ),
  },
  never_fenced: {
    clause: 'S2',
    cells: onEvery({
      title:
        'the keyring document was lost and put back from a copy: its revisions begin anew, and a guard from before could fit again',
      async run(scene) {
        const vault = await scene.rotated()
        const copy = await scene.store.readDocument('keyring')
        await scene.loseDocuments('keyring')
        await scene.store.writeDocument('keyring', 0, copy?.value ?? '')
        return { vault, kekId: 'v1' }
      },
    }),
  },
  store_advisory: {
    clause: 'S3',
    cells: {
      sqlite: weak('the database is in memory'),
      postgres: weak('`synchronous_commit` is off for the role'),
      redis: weak('the server runs with the configuration it comes with: no append-only file'),
      dynamodb: weak(
        'the table is a global table of eventual consistency, with a replica in another Region (which the test puts into the ' +
          "service's answer: the emulator has none)",
      ),
    },
  },
  source_holds_envelopes: {
    clause: 'S4',
    cells: onEvery({
      title: 'a declared source counts envelopes under the KEK',
      async run(scene) {
        const sessions = { name: 'sessions', count: async (kekId: string) => (kekId === 'v1' ? 3 : 0) }
        return { vault: await scene.rotated({ declaredSources: [sessions] }), kekId: 'v1' }
      },
    }),
  },
  source_not_expired: {
    clause: 'S4',
    cells: onEvery({
      title: 'the envelopes of a declared source may be older than the fence',
      async run(scene) {
        const queue = { name: 'queue', maxAgeMs: 3_600_000 }
        return { vault: await scene.rotated({ declaredSources: [queue] }), kekId: 'v1' }
      },
    }),
  },
  source_not_counted: {
    clause: 'S4',
    cells: onEvery(
      {
        title: 'a declared source throws instead of counting',
        async run(scene) {
          const count = async (): Promise<number> => {
            throw new Error('the test took the source away')
          }
          return {
            vault: await scene.rotated({ declaredSources: [{ name: 'sessions', count }] }),
            kekId: 'v1',
          }
        },
      },
      {
        title: 'a declared source never answers',
        async run(scene) {
          const count = (): Promise<number> => new Promise(() => {})
          const vault = await scene.rotated({ declaredSources: [{ name: 'sessions', count }] })
          return { vault, kekId: 'v1', claims: { timeoutMs: 8_000 } }
        },
      },
    ),
  },
  source_not_declared_here: {
    clause: 'S4',
    cells: onEvery({
      title: 'another instance has declared a source that the one that is asked has not',
      async run(scene) {
        const vault = await scene.rotated()
        await scene.open('v2', ['v1', 'v2'], {
          declaredSources: [{ name: 'sessions', count: async () => 0 }],
        })
        return { vault, kekId: 'v1' }
      },
    }),
  },
  operation_targets_it: {
    clause: 'S5',
    cells: onEvery({
      title: 'a rotation towards v2 was paused before anything was under it, and v3 was promoted',
      async run(scene) {
        await scene.promoted()
        await scene.close()
        const { vault: frozen, atScan } = await scene.freezing('v2', ['v1', 'v2'], { fleet: 'none' })
        const { id } = await frozen.rotate()
        await atScan
        // Does not hold v2, and so cannot go on with the rotation itself.
        const pausing = await scene.open('v1', ['v1'], { fleet: 'none' })
        await pausing.rotations.pause(id)
        const vault = await scene.open('v3', ['v1', 'v2', 'v3'])
        await vault.keks.recordEscrow(await scene.escrow('v2'))
        return { vault, kekId: 'v2' }
      },
    }),
  },
  instance_behind: {
    clause: 'S6',
    cells: onEvery({
      title: 'an instance stopped before the last change of the keyring document, and its lease is not over',
      async run(scene) {
        const vault = await scene.rotated()
        const { kill } = await scene.freezing('v2', ['v1', 'v2'])
        kill()
        await vault.keks.recordEscrow(await scene.escrow('v1'))
        return { vault, kekId: 'v1' }
      },
    }),
  },
  instance_disagrees: {
    clause: 'S6',
    cells: onEvery(
      {
        title: 'an instance was started with an old environment, without the current KEK',
        async run(scene) {
          const vault = await scene.rotated()
          await scene.open('v1', ['v1'])
          return { vault, kekId: 'v1' }
        },
      },
      {
        title: 'an instance holds other bytes under the id of the current KEK',
        async run(scene) {
          const vault = await scene.rotated()
          await scene.open('v1', ['v1', 'v2'], { bytes: { v2: 'v3' } })
          return { vault, kekId: 'v1' }
        },
      },
    ),
  },
  instance_unknown: {
    clause: 'S6',
    cells: onEvery({
      title: 'the report of an instance cannot be read by this version',
      async run(scene) {
        const vault = await scene.rotated()
        await scene.store.writeDocument('instance/of-a-later-version', 0, '{"reported":"elsewhere"}')
        return { vault, kekId: 'v1' }
      },
    }),
  },
  is_current: {
    clause: 'S7',
    cells: onEvery({
      title: 'it is the current KEK of an empty store',
      async run(scene) {
        const vault = await scene.open('v1', ['v1'])
        await vault.keks.recordEscrow(await scene.escrow('v1'))
        return { vault, kekId: 'v1' }
      },
    }),
  },
  same_bytes: {
    clause: 'S7',
    cells: onEvery({
      title:
        'records of two installations, which had given the same bytes two ids, were adopted into one (a promotion refuses bytes ' +
        'that are bound)',
      async run(scene) {
        const first = await scene.open('v1', ['v1'])
        await first.put('a', 'x')
        const [record] = await scene.store.read(['a'])
        await first.delete('a')
        await scene.close()
        await scene.loseDocuments()
        const second = await scene.open('twin', ['twin'], { bytes: { twin: 'v1' } })
        await second.put('b', 'y')
        await scene.putBack(record)
        await scene.close()
        await scene.loseDocuments()
        const vault = await scene.open('v2', ['v1', 'v2'])
        await vault.adopt({ reason: 'two installations became one' })
        await vault.delete('a')
        await vault.delete('b')
        await vault.keks.recordEscrow(await scene.escrow('v1'))
        return { vault, kekId: 'v1' }
      },
    }),
  },
  incarnation_changed: {
    clause: 'S8',
    cells: onEvery({
      title: 'an operator said that the data was restored, by `renewIncarnation`',
      async run(scene) {
        const vault = await scene.rotated()
        await scene.store.renewIncarnation()
        return { vault, kekId: 'v1' }
      },
    }),
  },
  epoch_went_back: {
    clause: 'S8',
    cells: onEvery(
      {
        title: 'the keyring document was put back from an older copy under a running instance',
        async run(scene) {
          const vault = await scene.rotated()
          const copy = await scene.store.readDocument('keyring')
          await vault.keks.suspend('v1')
          await vault.keks.resume('v1')
          const now = await scene.store.readDocument('keyring')
          await scene.store.writeDocument('keyring', now?.revision ?? 0, copy?.value ?? '')
          return { vault, kekId: 'v1' }
        },
      },
      {
        title: 'the operator knows of a higher epoch, from the last certificate, and gives it as `minEpoch`',
        async run(scene) {
          return { vault: await scene.rotated(), kekId: 'v1', claims: { minEpoch: 1_000 } }
        },
      },
    ),
  },
  escrow_not_recorded: {
    clause: 'S9',
    cells: onEvery({
      title: 'nobody has recorded an escrow of the KEK, nor accepted the loss of its backups',
      async run(scene) {
        return { vault: await scene.rotated({ escrowed: false }), kekId: 'v1' }
      },
    }),
  },
}

/** What each clause demands, as the page says it. */
export const CLAUSES: Readonly<Record<RetirementClause, string>> = {
  S1: 'a complete census, begun after the fence had settled, found no record under the KEK',
  S2: 'the fence has settled: no write with an older guard can still take effect',
  S3: 'the census is authoritative: the level of the store is strong',
  S4: 'every other place of envelopes is declared, and none holds one under the KEK',
  S5: 'no rotation goes towards the KEK',
  S6: 'every live instance has seen this epoch and holds every KEK that is needed',
  S7: 'the KEK is not current, and no other id has its bytes',
  S8: 'the store shows no sign of having gone back in time',
  S9: 'an escrow of the KEK was recorded, or the loss of its backups accepted',
}

/** What a store says where all clauses hold, and what it was set up with. */
export const ALL_HOLD: Readonly<Record<StoreName, string>> = {
  sqlite: 'a file in WAL mode, synchronous = FULL',
  postgres: 'fsync, full_page_writes and synchronous_commit on, as they are by default',
  redis: 'a single node without replicas, appendonly yes, appendfsync always, maxmemory-policy noeviction',
  dynamodb: 'a table of one Region',
}

export interface MatrixScenario extends Scenario {
  readonly store: StoreName
  readonly clause: RetirementClause
  readonly code: RetirementReasonCode
}

/** All scenarios of the matrix, with the clause, code and store that each is for. */
export function scenarios(): readonly MatrixScenario[] {
  return cells().flatMap(({ clause, code, store, cell }) =>
    'scenarios' in cell ? cell.scenarios.map((scenario) => ({ ...scenario, clause, code, store })) : [],
  )
}

/** All pairs of a reason and a store. */
export function cells(): readonly {
  readonly clause: RetirementClause
  readonly code: RetirementReasonCode
  readonly store: StoreName
  readonly cell: Cell
}[] {
  return Object.entries(MATRIX).flatMap(([code, { clause, cells }]) =>
    Object.entries(cells).map(([store, cell]) => ({
      clause,
      code: code as RetirementReasonCode,
      store: store as StoreName,
      cell,
    })),
  )
}

/**
 * What is missing in a matrix, in words: a clause without a reason, and a pair of a reason and a store with neither a scenario
 * nor a reason why there is none. The types say the same; a check that runs does not depend on who compiles.
 */
export function gaps(matrix: Readonly<Record<string, MatrixRow>>): readonly string[] {
  const missing: string[] = []
  for (const clause of Object.keys(CLAUSES)) {
    if (!Object.values(matrix).some((row) => row.clause === clause)) missing.push(`${clause} has no reason`)
  }
  for (const [code, row] of Object.entries(matrix)) {
    for (const store of Object.keys(STORES) as StoreName[]) {
      const cell: Partial<Cell> | undefined = row.cells[store]
      const hasScenario = cell !== undefined && 'scenarios' in cell && (cell.scenarios?.length ?? 0) > 0
      const hasReason = cell !== undefined && 'cannot' in cell && (cell.cannot ?? '') !== ''
      if (hasScenario === hasReason)
        missing.push(`${row.clause} ${code} on ${store} has neither a scenario nor a reason`)
    }
  }
  return missing
}
