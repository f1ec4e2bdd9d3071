import type { CallOptions, SecretStore } from '@talos/envelope'
import { conformanceChecks, type OpenStore } from '@talos/envelope-conformance'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DynamodbProxy, openDynamodbProxy, seeded } from '../../../../test/proxies/dynamodb-proxy.ts'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { Table } from '../table.ts'

/** Conflicts are what DynamoDB has most of; the others stand for throttling. */
const FAULTS = [
  ...Array.from({ length: 6 }, () => 'TransactionConflict' as const),
  ...(['ThrottlingException', 'ProvisionedThroughputExceededException', 'RequestLimitExceeded'] as const),
]

/** A store that begins no attempt with less time left than three times the slowest needs time for slow ones. */
const TIMEOUT_MS = 60_000

/** The same store, with more time for each call that does not say how much it has. */
function patient(store: SecretStore): SecretStore {
  const within = (options?: CallOptions) => ({ timeoutMs: TIMEOUT_MS, ...options })
  return {
    identify: (options) => store.identify(within(options)),
    read: (names, options) => store.read(names, within(options)),
    scan: (query, options) => store.scan(query, within(options)),
    write: (guard, changes, options) => store.write(guard, changes, within(options)),
    census: (options) => store.census(within(options)),
    readDocument: (key, options) => store.readDocument(key, within(options)),
    writeDocument: (key, revision, value, options) =>
      store.writeDocument(key, revision, value, within(options)),
    listDocuments: (query, options) => store.listDocuments(query, within(options)),
    shards: (atMost, options) => store.shards!(atMost, within(options)),
  }
}

/**
 * Declares the kit on DynamoDB as the emulator never is by itself: a part of all requests is refused.
 *
 * @param rate - The share that is.
 */
export function describeDisturbedStore(rate: number): void {
  describe(`the DynamoDB store where a share of ${rate} of all requests is refused`, () =>
    checkDisturbed(rate))
}

function checkDisturbed(rate: number): void {
  let url = ''
  let proxy: DynamodbProxy
  beforeAll(async () => {
    url = await service('dynamodb')
    proxy = await openDynamodbProxy(url)
    proxy.disturb({ rate, random: seeded(rate * 100), faults: FAULTS })
    // A batch of any size is answered in parts.
    proxy.limitBatches(40)
  }, START_TIMEOUT_MS)
  afterAll(async () => {
    const { forwarded, refused } = proxy.counts()
    console.log(`${refused} of ${forwarded + refused} requests were refused (${rate})`)
    // A conflict of transactions is no answer to a query, which is then answered.
    expect(refused / (forwarded + refused)).toBeGreaterThan(rate * 0.7)
    await proxy.close()
  })

  const open: OpenStore = async () => {
    const table = await new Table(url).create()
    // The SDK repeats throttled requests itself, with longer pauses; here the store has to.
    const disturbed = () =>
      patient(table.store({ client: table.client({ endpoint: proxy.url, maxAttempts: 1 }) }))
    return {
      store: disturbed(),
      another: async () => disturbed(),
      close: async () => table.close(),
    }
  }
  const without = [
    'hold',
    'holdWrite',
    'proxied',
    'outage',
    'destroySealed',
    'restore',
    'clientState',
  ] as const

  test.for(conformanceChecks(open, { without }))('$name', { timeout: 300_000 }, ({ run }) => run())
}
