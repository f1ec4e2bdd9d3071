import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type BearerAuthOptions, bearerAuth } from '../../src/index.ts'

const GOOD = 'V7fQx2mLr9KpZ4sWb8NcT1yHd6GjE3uA'
const OTHER = 'p0TzYw5RkMx8Jv3CqHs6LnB1dGf9SaE2'
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const REFUSED: readonly (readonly [what: string, token: string | undefined])[] = [
  ['none', undefined],
  ['an empty one', ''],
  ['one of 31 characters', GOOD.slice(1)],
  ['one of 513 characters', GOOD.repeat(17).slice(0, 513)],
  ['changeme…', 'changeme-V7fQx2mLr9KpZ4sWb8NcT1yHd6'],
  ['…CHANGE_ME', 'V7fQx2mLr9KpZ4sWb8NcT1yHd6-CHANGE_ME'],
  ['your-token…', 'your-token-goes-here-0123456789-abcdef'],
  ['YOUR_SECRET…', 'YOUR_SECRET_0123456789_abcdef_XYZ_98765'],
  ['replace-me', 'please-replace-me-with-32-characters'],
  ['example…', 'example-V7fQx2mLr9KpZ4sWb8NcT1yHd6'],
  ['one character', 'a'.repeat(40)],
  ['few characters', 'abcab'.repeat(8)],
  ['a repetition', 'S3cr3tT0ken-'.repeat(3)],
  ['a repetition cut off', `${GOOD.slice(0, 15)}${GOOD.slice(0, 15)}${GOOD.slice(0, 5)}`],
  ['the alphabet', 'abcdefghijklmnopqrstuvwxyz012345'],
  ['a line break at its end', `${GOOD}\n`],
  ['a space', `${GOOD.slice(0, 20)} ${GOOD}`],
  ['letters outside ASCII', `${GOOD}ü`],
]

describe('bearerAuth', () => {
  it.each(REFUSED)('Rule 2: refuses a token with %s and does not echo it', (_what, token) => {
    for (const options of [{ token }, { tokens: [{ name: 'ops', token }] }] satisfies BearerAuthOptions[]) {
      const thrown = catching(() => bearerAuth(options))
      expect(thrown).toBeInstanceOf(TypeError)
      if (token) expect(String(thrown)).not.toContain(token.slice(0, 12))
    }
  })

  it.each([
    ['no tokens', []],
    ['an empty name', [{ name: '', token: GOOD }]],
    [
      'a name twice',
      [
        { name: 'a', token: GOOD },
        { name: 'a', token: OTHER },
      ],
    ],
    [
      'a token twice',
      [
        { name: 'a', token: GOOD },
        { name: 'b', token: GOOD },
      ],
    ],
    [
      'a token and its digest',
      [
        { name: 'a', token: GOOD },
        { name: 'b', sha256: sha256(GOOD) },
      ],
    ],
    ['neither token nor digest', [{ name: 'a' }]],
    ['both', [{ name: 'a', token: GOOD, sha256: sha256(OTHER) }]],
    ['no roles', [{ name: 'a', token: GOOD, roles: [] }]],
    ['an unknown role', [{ name: 'a', token: GOOD, roles: ['root'] }]],
    ['a digest that is too short', [{ name: 'a', sha256: sha256(GOOD).slice(1) }]],
    ['the digest of nothing', [{ name: 'a', sha256: sha256('') }]],
    ['a digest of zeros', [{ name: 'a', sha256: '0'.repeat(64) }]],
  ])('Rule 2: refuses %s', (_what, tokens) => {
    expect(() => bearerAuth({ tokens } as never)).toThrow(TypeError)
  })

  it('takes the digest of a token in place of the token', () => {
    const auth = bearerAuth({
      tokens: [{ name: 'ci', sha256: sha256(GOOD).toUpperCase(), roles: ['rotate'] }],
    })
    expect(auth.authenticate(requestWith(GOOD))).toEqual({ name: 'ci', roles: ['rotate'] })
    expect(auth.authenticate(requestWith(sha256(GOOD)))).toBeNull()
  })

  it('Rule 3: takes the token from one header of either kind of request, and nothing that is only like it', () => {
    const auth = bearerAuth({ token: GOOD })
    const asFetch = (...headers: string[]) =>
      new Request('http://localhost/', { headers: headers.map((text) => ['Authorization', text]) })
    const asNode = (...headers: string[]) => ({ headersDistinct: { authorization: headers } }) as never
    const right = { name: 'root', roles: ['read', 'write', 'rotate', 'admin', 'retire'] }
    const near = [
      `Bearer ${GOOD}x`,
      `Bearer ${GOOD.slice(1)}`,
      `Bearer ${GOOD.slice(0, -1)}`,
      `Bearer ${GOOD.toLowerCase()}`,
      `Bearer ${GOOD} x`,
      `Bearer ${GOOD},`,
      `Bearer${GOOD}`,
      `Basic ${GOOD}`,
      GOOD,
      'Bearer ',
      '',
    ]
    for (const request of [asFetch, asNode]) {
      expect(auth.authenticate(request(`Bearer ${GOOD}`))).toEqual(right)
      for (const text of near) expect([text, auth.authenticate(request(text))]).toEqual([text, null])
      expect(auth.authenticate(request(`Bearer ${GOOD}`, `Bearer ${GOOD}`))).toBeNull()
    }
    // Space behind a header's value is no part of it: a server takes it off before anybody sees it.
    expect(auth.authenticate(asNode(`Bearer ${GOOD} `))).toBeNull()
    expect(auth.authenticate(new Request('http://localhost/'))).toBeNull()
  })

  it('refuses a name that could pass as another line of the audit trail', () => {
    expect(() => bearerAuth({ tokens: [{ name: 'ops\n2026', token: GOOD }] })).toThrow(TypeError)
  })

  it('gives a named token without roles the role read and nothing more', () => {
    const auth = bearerAuth({ tokens: [{ name: 'dashboard', token: GOOD }] })
    expect(auth.authenticate(requestWith(GOOD))).toEqual({ name: 'dashboard', roles: ['read'] })
  })

  it.each(['hex', 'base64', 'base64url'] as const)('takes random bytes in %s', (encoding) => {
    for (let run = 0; run < 2_000; run++) bearerAuth({ token: randomBytes(32).toString(encoding) })
  })
})

function requestWith(token: string) {
  return { headersDistinct: { authorization: [`Bearer ${token}`] } } as never
}

function catching(action: () => unknown): unknown {
  try {
    return action()
  } catch (error) {
    return error
  }
}
