/** A server that tells what its requests have cost it: one router before `express.json()`, one behind it. */
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import express from 'express'
import { adminRouter, bearerAuth } from '../../src/index.ts'
import { openTestVault, testStore } from '../support/test-vault.ts'

const token = process.env['ROOT_TOKEN']
const vault = await openTestVault(testStore())
const delays = monitorEventLoopDelay({ resolution: 5 })
let mostBytes = 0
setInterval(() => {
  mostBytes = Math.max(mostBytes, process.memoryUsage.rss())
}, 5).unref()

const router = () =>
  adminRouter({ vault, auth: bearerAuth({ token }), bodyTimeoutMs: 2_000, onEvent: () => {} })
const app = express()
app.post('/begin', (_request, response) => {
  globalThis.gc?.()
  mostBytes = process.memoryUsage.rss()
  delays.enable()
  delays.reset()
  response.json({ bytes: mostBytes })
})
app.post('/end', (_request, response) => {
  delays.disable()
  response.json({ mostBytes, p99Ms: delays.percentile(99) / 1e6, maxMs: delays.max / 1e6 })
})
app.use('/direct', router())
app.use('/parsed', express.json(), router())
app.use((error: Error & { status?: number }, _: express.Request, response: express.Response, __: unknown) => {
  response.status(error.status ?? 500).json({})
})
const server = app.listen(0, '127.0.0.1', () => {
  process.send?.((server.address() as AddressInfo).port)
})
