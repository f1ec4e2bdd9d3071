/**
 * One process that changes the keyring document and ends itself in the middle, as `kill -9` does.
 *
 *     node --conditions=@talos/source fence-process.ts <url> <table> <writes> <before | after>
 *
 * It lets so many writes through. With `after` it waits for all their answers; with `before` it ends as soon as the last one
 * has been sent. No other write leaves it.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { type DynamodbClient, dynamodbStore } from '@talos/envelope-dynamodb'
import { LOCAL } from '../local.ts'

const [endpoint = '', table = '', writes = '0', when = 'after'] = process.argv.slice(2)
const limit = Number(writes)
const real = new DynamoDBClient({ endpoint, ...LOCAL, maxAttempts: 1 })

let sent = 0
let answered = 0

function end(): void {
  process.kill(process.pid, 'SIGKILL')
}

real.middlewareStack.add(
  (next, { commandName = '' }) =>
    async (request) => {
      if (!/^(Put|Update)Item/.test(commandName)) return await next(request)
      if (sent === limit) {
        if (limit === 0) end()
        return await new Promise<never>(() => {})
      }
      sent += 1
      const sending = next(request)
      if (when === 'before' && sent === limit) {
        // The request is handed to the socket within this turn and the next ones.
        await new Promise((resolve) => setImmediate(resolve))
        end()
      }
      const answer = await sending
      answered += 1
      if (when === 'after' && answered === limit) end()
      return answer
    },
  { step: 'deserialize', priority: 'low' },
)
const client: DynamodbClient = real
await dynamodbStore({ client, table }).writeDocument('keyring', 1, '{"epoch":2}')
process.stdout.write('the change came to its end\n')
real.destroy()
