/**
 * One process that goes through a table as a rotation does and says how much memory it took at most.
 *
 *     node --conditions=@talos/source rotate-process.ts <url> <table> <read | rotate> <from KEK id> <to KEK id>
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { SecretHeader } from '@talos/envelope'
import { dynamodbStore } from '@talos/envelope-dynamodb'
import { LOCAL } from '../local.ts'

const [endpoint = '', table = '', task = 'read', from = 'v1', to = 'v2'] = process.argv.slice(2)
const client = new DynamoDBClient({ endpoint, ...LOCAL })
const store = dynamodbStore({ client, table })
const patient = { timeoutMs: 600_000 }

const rewrap = ({ name, wrap, meta }: SecretHeader) =>
  ({
    kind: 'rewrap',
    expectedWrap: wrap,
    secret: { name, wrap: wrap.replace(`:${from}:`, `:${to}:`), meta },
  }) as const

const start = performance.now()
let seen = 0
let cursor: string | null = null
do {
  const page = await store.scan({ cursor, limit: 256, exceptKekId: to }, patient)
  seen += page.items.length
  if (task === 'rotate' && page.items.length > 0) await store.write(1, page.items.map(rewrap), patient)
  cursor = page.next
} while (cursor !== null)
const census = [...(await store.census(patient))]
const peakMiB = process.resourceUsage().maxRSS / 1024
console.log(JSON.stringify({ seen, census, seconds: (performance.now() - start) / 1000, peakMiB }))
client.destroy()
