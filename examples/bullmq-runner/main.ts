/**
 * Fills a store with secrets, works on shards, or begins a rotation and watches it: see README.md.
 *
 *     node --conditions=@talos/source main.ts fill <secrets> | work | rotate
 */
import { once } from 'node:events'
import { environmentKeys, openVault } from '@talos/envelope'
import { redisStore } from '@talos/envelope-redis'
import { Redis } from 'ioredis'
import { bullmqRunner } from './runner.ts'

const [task = 'work', argument = '1000'] = process.argv.slice(2)
const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379'
const client = new Redis(url)
client.on('error', (error) => console.error(`a connection broke: ${error.message}`))
const vault = await openVault({
  store: redisStore({ client }),
  keys: environmentKeys(),
  namespace: 'gateway',
  runner: bullmqRunner({ connection: { url }, queue: 'gateway-rotation', concurrency: 1 }),
})

if (task === 'fill') {
  for (let n = 0; n < Number(argument); n += 1) await vault.put(`provider/${n}`, `sk-${n}`)
  console.log(`${argument} secrets`)
} else if (task === 'rotate') {
  const { id } = await vault.rotate()
  for await (const { status, pass, shards, totals } of vault.rotations.follow(id)) {
    console.log(
      `${status}: pass ${pass}, ${shards.done} of ${shards.total} shards, ${totals.rewrapped} re-wrapped`,
    )
  }
} else {
  console.log('working on shards until Ctrl-C')
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
}
await vault.close()
client.disconnect()
