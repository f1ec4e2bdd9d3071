import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Change } from '@talos/envelope'
import { createTable, type DynamodbStore, dynamodbStore } from '@talos/envelope-dynamodb'
import { DynamodbLocal } from '../../test/services/dynamodb-local.ts'
import type { Heat } from '../measure/report.ts'
import type { Contender } from '../measure/rounds.ts'
import { Meter } from './dynamodb-meter.ts'

const RECORDS = 2_000
const BATCH = 256
const SEALED_BYTES = { '400B': 92, '8KiB': 8_220 } as const
const CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local' }

/**
 * Re-wraps through the store, in batches as a rotation sends them, for short and for long values, and tells what DynamoDB bills
 * for them. On the emulator a rate says nothing about DynamoDB, so nothing has to be reached.
 *
 * @returns One heat, its tables filled. The emulator stops when the next one is asked for.
 */
export async function* dynamodbHeats(): AsyncGenerator<Heat> {
  const server = await DynamodbLocal.start()
  const client = localClient(server)
  const [metered, apart] = [localClient(server), localClient(server)]
  try {
    const meter = new Meter(metered, apart)
    const contenders: Contender[] = []
    for (const [size, bytes] of Object.entries(SEALED_BYTES)) {
      const table = `bench-${size}`
      await createTable({ client, table, pointInTimeRecovery: false, deletionProtection: false })
      const records = new Records(dynamodbStore({ client, table }))
      await records.fill(bytes)
      const billed = dynamodbStore({ client: metered, table })
      const { write } = await meter.cost(() => records.rewrap(billed))
      console.error(
        `dynamodb: a rewrap of ${size} in batches of ${BATCH} costs ${(write / BATCH).toFixed(2)} write units`,
      )
      contenders.push({ name: `dynamodb rewrap ${size}`, run: () => records.rewrap(), values: BATCH })
    }
    yield { title: '', contenders, comparisons: [] }
  } finally {
    for (const each of [client, metered, apart]) each.destroy()
    await server.stop()
  }
}

/** Records that are re-wrapped one batch after the other, again and again. */
class Records {
  readonly #store: DynamodbStore
  readonly #rounds = Array.from({ length: RECORDS }, () => 0)
  #next = 0

  constructor(store: DynamodbStore) {
    this.#store = store
  }

  async fill(sealedBytes: number): Promise<void> {
    await this.#store.writeDocument('keyring', 0, '{}')
    const changes = Array.from({ length: RECORDS }, (_, n): Change => {
      const secret = { ...headerOf(n, 0), sealed: new Uint8Array(sealedBytes) }
      return { kind: 'create', secret }
    })
    for (let from = 0; from < RECORDS; from += 500)
      await this.#store.write(1, changes.slice(from, from + 500))
  }

  async rewrap(store = this.#store): Promise<void> {
    const changes = Array.from({ length: BATCH }, (): Change => {
      const n = this.#next
      this.#next = (n + 1) % RECORDS
      const round = this.#rounds[n] ?? 0
      this.#rounds[n] = round + 1
      return { kind: 'rewrap', expectedWrap: headerOf(n, round).wrap, secret: headerOf(n, round + 1) }
    })
    const outcomes = await store.write(1, changes)
    if (outcomes.some((outcome) => outcome !== 'done')) throw new Error('A re-wrap was not done.')
  }
}

function headerOf(n: number, round: number) {
  const wrap = `talos:v2:v${round % 2}:${`${n}-${round}`.padStart(110, 'w')}`
  return { name: `upstream-${String(n).padStart(7, '0')}/prod`, wrap, meta: '{"version":1,"context":{}}' }
}

function localClient(server: DynamodbLocal): DynamoDBClient {
  return new DynamoDBClient({ endpoint: server.url, region: 'local', credentials: CREDENTIALS })
}
