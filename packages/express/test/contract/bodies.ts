import { request as httpRequest } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type Asked, ask } from '../support/client.ts'
import type { Host, Middleware } from '../support/hosts.ts'
import { type Served, serve, TOKENS } from '../support/served.ts'

const put = (body: string | Uint8Array, headers: Record<string, string> = {}): Asked => {
  return { method: 'POST', body, headers }
}
const CHUNKED = { 'Transfer-Encoding': 'chunked' }
const ten = 10 * 1024 * 1024
const VALID = '{"name":"a","value":"b"}'
const utf8 = (text: string) => Buffer.from(text)

const HOSTILE: readonly (readonly [what: string, asked: Asked, status: number, code: string])[] = [
  ['10 MB', put(Buffer.alloc(ten, 'x')), 413, 'BODY_TOO_LARGE'],
  ['10 MB in chunks', put(Buffer.alloc(ten, 'x'), CHUNKED), 413, 'BODY_TOO_LARGE'],
  ['a value of 10 MB', put(`{"name":"a","value":"${'x'.repeat(ten)}"}`), 413, 'BODY_TOO_LARGE'],
  [
    'a value of 10 MB in chunks',
    put(`{"name":"a","value":"${'x'.repeat(ten)}"}`, CHUNKED),
    413,
    'BODY_TOO_LARGE',
  ],
  ['17 KiB beside the value', put(`${VALID}${' '.repeat(17_000)}`), 413, 'BODY_TOO_LARGE'],
  ['a member of 17 KiB beside the value', put(`{"name":"${'n'.repeat(17_000)}"}`), 413, 'BODY_TOO_LARGE'],
  ['a long nested "value"', put(`{"name":"a","x":{"value":"${'x'.repeat(17_000)}"}}`), 413, 'BODY_TOO_LARGE'],
  ['a million nested arrays', put('['.repeat(1_000_000)), 413, 'BODY_TOO_LARGE'],
  ['8,000 nested arrays', put(`${'['.repeat(8_000)}${']'.repeat(8_000)}`), 400, 'NESTING_TOO_DEEP'],
  ['6 levels', put('{"name":[[[[[]]]]]}'), 400, 'NESTING_TOO_DEEP'],
  ['5 levels', put('{"name":[[[[]]]]}'), 400, 'INVALID_BODY'],
  ['brackets in a text', put('{"name":"[[[[[[[[","valve":"x"}'), 400, 'INVALID_BODY'],
  ['__proto__', put('{"name":"a","value":"b","__proto__":{}}'), 400, 'FORBIDDEN_MEMBER'],
  ['__proto__ in escapes', put('{"name":"a","value":"b","\\u005f_proto__":1}'), 400, 'FORBIDDEN_MEMBER'],
  ['__proto__ further in', put('{"name":{"__proto__":1}}'), 400, 'FORBIDDEN_MEMBER'],
  ['constructor', put('{"name":"a","value":"b","constructor":{}}'), 400, 'INVALID_BODY'],
  ['a member twice', put('{"name":"a","value":"b","name":"c"}'), 400, 'DUPLICATE_MEMBER'],
  [
    'a member twice, once in escapes',
    put('{"value":"a","name":"b","v\\u0061lue":"c"}'),
    400,
    'DUPLICATE_MEMBER',
  ],
  ['a member twice further in', put('{"name":[{"a":1,"a":2}]}'), 400, 'DUPLICATE_MEMBER'],
  ['an unknown member', put('{"name":"a","value":"b","force":true}'), 400, 'INVALID_BODY'],
  [
    'bytes that are no UTF-8',
    put(Buffer.concat([utf8('{"name":"'), Buffer.of(0xff), utf8('"}')])),
    400,
    'MALFORMED_JSON',
  ],
  [
    'an overlong U+0000',
    put(Buffer.concat([utf8('{"name":"'), Buffer.of(0xc0, 0x80), utf8('"}')])),
    400,
    'MALFORMED_JSON',
  ],
  ['a byte order mark', put(`\ufeff${VALID}`), 400, 'MALFORMED_JSON'],
  ['UTF-16', put(Buffer.from(VALID, 'utf16le')), 400, 'MALFORMED_JSON'],
  ['half a document', put('{"name":"a","value":"b'), 400, 'MALFORMED_JSON'],
  ['half a name', put('{"na'), 400, 'MALFORMED_JSON'],
  ['a broken escape in a name', put('{"\\u00":1}'), 400, 'MALFORMED_JSON'],
  ['two documents', put(`${VALID}${VALID}`), 400, 'MALFORMED_JSON'],
  ['closing brackets', put(']]]]}}}}'), 400, 'MALFORMED_JSON'],
  ['a comment', put(`${VALID}//`), 400, 'MALFORMED_JSON'],
  ['white space', put('   '), 400, 'MALFORMED_JSON'],
  ['nothing', put('', { 'Content-Type': 'text/plain' }), 400, 'INVALID_BODY'],
  ['nothing in chunks', put('', CHUNKED), 400, 'INVALID_BODY'],
  ['gzip', put(gzipSync(VALID), { 'Content-Encoding': 'gzip' }), 415, 'CONTENT_ENCODED'],
  ['a gzip bomb', put(gzipSync(Buffer.alloc(ten)), { 'Content-Encoding': 'gzip' }), 415, 'CONTENT_ENCODED'],
  ['identity', put(VALID, { 'Content-Encoding': 'identity' }), 415, 'CONTENT_ENCODED'],
  ['text', put(VALID, { 'Content-Type': 'text/plain' }), 415, 'NOT_JSON'],
  ['a form', put('name=a&value=b', { 'Content-Type': 'application/x-www-form-urlencoded' }), 415, 'NOT_JSON'],
  ['JSON of another kind', put(VALID, { 'Content-Type': 'application/merge-patch+json' }), 415, 'NOT_JSON'],
  ['another charset', put(VALID, { 'Content-Type': 'application/json; charset=utf-16' }), 415, 'NOT_JSON'],
]

const ROTATE_OPTIONS = [
  '{"envelope":"talos:v2:v1:x"}',
  '{"kek_id":"v3"}',
  '{"target_kek_id":"v3"}',
  '{"names":["a"]}',
  '{"force":true}',
  '{"rate_limit":0}',
  '{"rate_limit":-1}',
  '{"rate_limit":"5"}',
  '{"rate_limit":1e999}',
  '{"dry_run":"no"}',
  '[]',
  'null',
]

/** Rule 4: what is not read, and that the next request is served all the same. */
export function bodiesContract(host: Host): void {
  const expectServed = async (served: Served) => {
    const next = await served.ask('/', { method: 'POST', json: { name: 'next', value: 'v' } })
    expect(next.status).toBe(201)
    expect(served.errors).toEqual([])
  }

  describe('Rule 4', () => {
    it.each(HOSTILE)(
      'Rule 4: a body of %s is refused and the next request served',
      async (_what, asked, status, code) => {
        await using served = await serve(host)
        const answer = await served.ask('/', asked)
        expect([answer.status, answer.json.code]).toEqual([status, code])
        expect((await served.vault.listPage()).items).toEqual([])
        await expectServed(served)
      },
    )

    it.each(ROTATE_OPTIONS)('Rule 1: POST /rotate-all takes no %s', async (body) => {
      await using served = await serve(host)
      const answer = await served.ask('/rotate-all', put(body))
      expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_BODY'])
    })

    it('Rule 4: 16 KiB is the limit of a body without a value', async () => {
      await using served = await serve(host)
      const padded = (length: number) => put(`{}${' '.repeat(length - 2)}`)
      expect((await served.ask('/rotate-all', padded(16_385))).status).toBe(413)
      expect((await served.ask('/rotate-all', padded(16_384))).status).toBe(202)
    })

    it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
      'Rule 4: %s is JSON',
      async (type) => {
        await using served = await serve(host)
        expect((await served.ask('/', put(VALID, { 'Content-Type': type }))).status).toBe(201)
      },
    )

    it('Rule 4: a body of one byte now and then is given up with 408', async () => {
      await using served = await serve(host, { router: { bodyTimeoutMs: 200 } })
      const { promise, resolve } = Promise.withResolvers<number | undefined>()
      const slow = openRequest(served, { 'Content-Length': '1000' })
      slow.on('response', (response) => resolve(response.resume().statusCode))
      slow.on('error', () => undefined)
      const drip = setInterval(() => slow.write('{'), 40)
      expect(await promise).toBe(408)
      clearInterval(drip)
      slow.destroy()
      await expectServed(served)
    })

    it('Rule 9: a client that leaves in the middle of its body harms nobody', async () => {
      await using served = await serve(host)
      for (let client = 0; client < 5; client++) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const leaving = openRequest(served, { 'Content-Length': '1000' })
        leaving.on('close', resolve).on('error', () => undefined)
        leaving.write('{"name":', () => leaving.destroy())
        await promise
      }
      await expectServed(served)
      expect(served.events).toEqual([])
    })

    if (host.hasMiddleware) parsedBodiesContract(host)
  })

  describe('Rule 4: methods and paths', () => {
    const allow: readonly (readonly [target: string, allow: string, method: string])[] = [
      ['/rotate-all', 'POST, DELETE', 'GET'],
      ['/rotation-status/x', 'GET, HEAD', 'POST'],
      ['/kek-status', 'GET, HEAD, DELETE', 'PUT'],
      ['/', 'GET, HEAD, POST, DELETE', 'PATCH'],
      ['/healthz', 'GET, HEAD, DELETE', 'OPTIONS'],
      ...(host.atRoot ? [] : [['/a-name', 'DELETE', 'GET'] as const]),
    ]
    it.each(allow)('Rule 4: %s takes %s and no %s', async (target, methods, method) => {
      await using served = await serve(host)
      const { status, headers, json } = await served.ask(target, { method })
      expect([status, headers.allow, json.code]).toEqual([405, methods, 'METHOD_NOT_ALLOWED'])
      expect((await ask(served.url, target, { method })).status).toBe(401)
    })

    it('Rule 4: HEAD is GET without the body', async () => {
      await using served = await serve(host)
      for (const target of ['/', '/kek-status', '/healthz']) {
        const { status, text, headers } = await served.ask(target, { method: 'HEAD' })
        expect([status, text]).toEqual([200, ''])
        expect(Number(headers['content-length'])).toBeGreaterThan(0)
      }
    })

    const badPaths: readonly (readonly [method: string, target: string])[] = [
      ['DELETE', '/%'],
      ['DELETE', '/%zz'],
      ['DELETE', '/%ff'],
      ['DELETE', '/%ed%a0%80'],
      ['GET', '/rotation-status/%e0%a4'],
    ]
    const badQueries: typeof badPaths = [
      ['DELETE', '/?name=%c3'],
      ['GET', '/?cursor=%'],
    ]
    it.each(host.refusesBadPaths ? badQueries : [...badPaths, ...badQueries])(
      'Rule 4: %s %s is not percent-encoded UTF-8',
      async (method, target) => {
        await using served = await serve(host)
        const { status, json } = await served.ask(target, { method })
        expect([status, json.code]).toEqual([400, 'INVALID_TARGET'])
      },
    )

    const unknown = ['/a/b', '/rotate-all/', '/rotation-status/x/y']
    const foreign = host.refusesBadPaths ? unknown : [...unknown, '/%zz/b']
    it.each(host.atRoot ? [...foreign, '/rotation-status', '/a-name'] : foreign)(
      "Rule 8: GET %s is none of the router's and passed on to the host",
      async (target) => {
        await using served = await serve(host)
        const { status, text } = await served.ask(target)
        expect([status, text]).toEqual([404, 'host'])
      },
    )
  })
}

function openRequest(served: Served, headers: Record<string, string>) {
  const { hostname, port, pathname } = new URL(served.url)
  return httpRequest({
    hostname,
    port,
    path: pathname === '/' ? '/' : `${pathname}/`,
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${TOKENS.root}`, ...headers },
    agent: false,
  })
}

/** What a host has read before. A web request that was read has no body any more; see the tests of the fetch handler. */
function parsedBodiesContract(host: Host): void {
  it('Rule 4: a body that the host has parsed is checked as far as that goes, with one warning', async () => {
    await using served = await serve(host, { host: { parses: 'json' } })
    const refused: readonly (readonly [string, string, number])[] = [
      ['/', '{"name":"a","value":"b","x":1}', 400],
      ['/', '{"name":"a","value":"b","__proto__":1}', 400],
      ['/', '{"name":[[[[[]]]]]}', 400],
      ['/', `{"name":"${'n'.repeat(20_000)}","value":"b"}`, 413],
      ['/rotate-all', `{}${' '.repeat(17_000)}`, 413],
    ]
    for (const [target, body, status] of refused)
      expect((await served.ask(target, put(body))).status).toBe(status)
    const gzip = put(gzipSync(VALID), { 'Content-Encoding': 'gzip' })
    expect((await served.ask('/', gzip)).status).toBe(415)
    expect((await served.ask('/', put(VALID))).status).toBe(201)
    expect((await served.ask('/', put(VALID, CHUNKED))).status).toBe(201)
    expect((await served.ask('/', put(VALID, { 'Content-Type': 'text/plain' }))).status).toBe(415)
    expect(served.events).toEqual([{ type: 'body_already_parsed', message: expect.any(String) }])
    expect((await served.vault.get('a'))?.text()).toBe('b')
  })

  it.each(['raw', 'text'] as const)(
    'Rule 4: what express.%s() left is read as strictly as a body',
    async (parses) => {
      await using served = await serve(host, { host: { parses } })
      expect((await served.ask('/', put('{"name":"a","name":"b"}'))).json.code).toBe('DUPLICATE_MEMBER')
      expect((await served.ask('/rotate-all', put(`{}${' '.repeat(17_000)}`, CHUNKED))).status).toBe(413)
      expect((await served.ask('/', put(VALID))).status).toBe(201)
      expect(served.events).toHaveLength(1)
    },
  )

  it.each<[string, Middleware]>([
    ['reads the body and keeps it', (request, _response, next) => void request.on('end', next).resume()],
    ['decodes the body', (request, _response, next) => next(void request.setEncoding('utf8'))],
  ])('Rule 4: a host that %s is told so, and nothing is guessed', async (_what, before) => {
    await using served = await serve(host, { host: { before } })
    const { status, json } = await served.ask('/', put(VALID))
    expect([status, json.code]).toEqual([500, 'INTERNAL'])
    expect(served.errors).toMatchObject([{ cause: { message: expect.stringMatching(/^The host /) } }])
    expect((await served.ask('/')).json.secrets).toEqual([])
  })
}
