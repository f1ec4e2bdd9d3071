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
    const disturbed = () => table.store({ client: table.client({ endpoint: proxy.url, maxAttempts: 1 }) })
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
