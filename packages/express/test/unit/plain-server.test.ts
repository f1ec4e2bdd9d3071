import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { adminRouter, bearerAuth } from '../../src/index.ts'
import { TOKENS } from '../support/served.ts'
import { openTestVault, testStore } from '../support/test-vault.ts'

const HEAD = ['Host: localhost', `Authorization: Bearer ${TOKENS.root}`]
const VALID = '{"name":"a","value":"b"}'

/** Sends bytes as they are to a plain server and reads until the connection is closed. */
async function exchange(lines: readonly string[], body: string, bodyTimeoutMs = 10_000): Promise<string> {
  await using vault = await openTestVault(testStore())
  const router = adminRouter({ vault, auth: bearerAuth({ token: TOKENS.root }), bodyTimeoutMs })
  const server = createServer((request, response) => router(request, response, () => response.end('host')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`)
  await once(socket, 'close')
  server.close()
  await once(server, 'close')
  return Buffer.concat(received).toString()
}

const chunked = (text: string) =>
  `${text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`}0\r\n\r\n`

describe('on a plain node:http server', () => {
  it('Rule 4: chunks without a type are no JSON', async () => {
    const lines = ['POST / HTTP/1.1', ...HEAD, 'Connection: close', 'Transfer-Encoding: chunked']
    expect(await exchange(lines, chunked(VALID))).toMatch(/^HTTP\/1\.1 415 /)
  })

  it('Rule 4: no chunks at all are no body', async () => {
    const lines = ['POST /rotate-all HTTP/1.1', ...HEAD, 'Connection: close', 'Transfer-Encoding: chunked']
    expect(await exchange(lines, chunked(''))).toMatch(/^HTTP\/1\.1 202 /)
  })

  it('Rule 4: a client that never ends a refused body has its answer, and is cut off', async () => {
    const lines = ['POST / HTTP/1.1', ...HEAD, 'Content-Type: application/json', 'Content-Length: 10000000']
    expect(await exchange(lines, '{', 100)).toMatch(/^HTTP\/1\.1 413 .*"code":"BODY_TOO_LARGE"/s)
  })

  it('Rule 8: a target in absolute form is one of its own paths', async () => {
    const lines = ['GET http://localhost/kek-status?x HTTP/1.1', ...HEAD, 'Connection: close']
    expect(await exchange(lines, '')).toMatch(/^HTTP\/1\.1 200 .*"current_kek_id":"v1"/s)
  })

  it('Rule 8: HTTP/1.0 is answered too', async () => {
    expect(await exchange(['GET /healthz HTTP/1.0'], '')).toMatch(/^HTTP\/1\.1 200 .*\{"ready":true\}$/s)
  })

  it('Rule 9: two requests sent at once get their answers in order', async () => {
    const first = [
      'DELETE /missing HTTP/1.1',
      ...HEAD,
      '',
      'GET /healthz HTTP/1.1',
      'Host: localhost',
      'Connection: close',
    ]
    expect(await exchange(first, '')).toMatch(/^HTTP\/1\.1 404 .*HTTP\/1\.1 200 .*\{"ready":true\}$/s)
  })
})
