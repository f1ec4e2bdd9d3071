import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openApiDocument, problemsOf } from '../../src/openapi.ts'
import { PROBLEMS } from '../../src/problem.ts'
import { retirementCertificate } from '../../src/schemas/retirement.ts'
import { routesForReading } from '../support/route-table.ts'

const routes = routesForReading()
// biome-ignore lint/suspicious/noExplicitAny: tests look into documents of many shapes
type Loose = any
const document = JSON.parse(JSON.stringify(openApiDocument(routes, undefined))) as Loose

function operationOf(method: string, path: string) {
  return document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
}

/** Everything in the document that points to another part of it. */
function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    name === '$ref' ? [inner as string] : references(inner),
  )
}

describe('the OpenAPI document', () => {
  it('has the form of OpenAPI 3.1: each operation with an id of its own, answers, parameters and security', () => {
    expect(document.openapi).toBe('3.1.0')
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) })
    const ids = new Set<string>()
    for (const [path, item] of Object.entries<Record<string, Loose>>(document.paths)) {
      expect(path).toMatch(/^\//)
      for (const [method, operation] of Object.entries(item)) {
        expect(['get', 'post', 'delete']).toContain(method)
        expect(ids.has(operation.operationId)).toBe(false)
        ids.add(operation.operationId)
        expect(Object.keys(operation.responses).length).toBeGreaterThan(0)
        for (const [status, answer] of Object.entries<Loose>(operation.responses)) {
          expect(status).toMatch(/^[2-5]\d\d$/)
          expect(answer.description).not.toBe('')
        }
        const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        const inPath = (operation.parameters ?? []).filter((one: { in: string }) => one.in === 'path')
        expect(inPath.map((one: { name: string }) => one.name)).toEqual(named)
        for (const one of inPath) expect(one.required).toBe(true)
      }
    }
    expect(ids.size).toBe(routes.length)
  })

  it('points to nothing that is not there', () => {
    const all = references(document)
    expect(all.length).toBeGreaterThan(50)
    for (const reference of all) {
      const [, name = ''] = /^#\/components\/schemas\/(\w+)$/.exec(reference) ?? []
      expect([reference, name in document.components.schemas]).toEqual([reference, true])
    }
  })

  it('has every route, with its role, its body, its parameters and every problem that it can answer', () => {
    for (const route of routes) {
      const operation = operationOf(route.method, route.path)
      const security = route.role === null ? [] : [{ bearer: [] }, ...(route.anonymous ? [{}] : [])]
      expect([route.path, operation.security, operation['x-role'] ?? null]).toEqual([
        route.path,
        security,
        route.role,
      ])
      expect([route.path, operation.requestBody !== undefined]).toEqual([
        route.path,
        route.body !== undefined,
      ])
      for (const code of problemsOf(route)) {
        const answer = operation.responses[`${PROBLEMS[code][0]}`]
        const { schema } = answer.content['application/problem+json']
        expect([route.path, code, schema.properties.code.enum.includes(code)]).toEqual([
          route.path,
          code,
          true,
        ])
      }
      for (const { status, schema } of route.answers) {
        const content = operation.responses[`${status}`].content
        if (schema !== undefined && status < 400)
          expect(content['application/json'].schema.$ref).toBe(`#/components/schemas/${schema[0]}`)
      }
    }
  })

  it('knows every problem at some route, but the one that belongs to none', () => {
    const told = new Set(routes.flatMap(problemsOf))
    const untold = Object.keys(PROBLEMS).filter((code) => !told.has(code as keyof typeof PROBLEMS))
    expect(untold).toEqual(['METHOD_NOT_ALLOWED'])
  })

  it('asks for a bearer token, and says so where callers without one are answered', () => {
    expect(document.components.securitySchemes.bearer).toMatchObject({ type: 'http', scheme: 'bearer' })
    const open = routes.filter(({ role }) => role === null).map(({ path }) => path)
    expect(open).toEqual(['/healthz', '/console', '/console/', '/console/:file'])
  })

  it('says of an answer without content that there is none', () => {
    const { operationId, responses } = document.paths['/console/'].get
    expect([operationId, responses['308']]).toEqual([
      'readConsoleWithSlash',
      { description: 'It is at `../console`.' },
    ])
  })

  it('takes no unknown member in any body, and nothing in a rotation that widens its scope', () => {
    for (const { method, path, body } of routes) {
      if (body === undefined) continue
      const { schema } = operationOf(method, path).requestBody.content['application/json']
      expect([path, schema.additionalProperties]).toEqual([path, false])
    }
    const { schema } = operationOf('POST', '/rotate-all').requestBody.content['application/json']
    expect(Object.keys(schema.properties)).toEqual([
      'dry_run',
      'rate_limit',
      'concurrency',
      'acknowledge_compromised',
      'reason',
    ])
  })

  it('names no address but the one it is given', () => {
    expect(document.servers).toEqual([{ url: '.', description: 'The mount.' }])
    const publicUrl = 'https://ops.example/keys'
    expect(openApiDocument(routes, publicUrl)['servers']).toMatchObject([{ url: publicUrl }])
  })
})

/** The names of all members of a JSON schema, with where they are. */
function membersOf(schema: Loose, defs: Loose, where = ''): string[] {
  const of = schema.$ref === undefined ? schema : defs[schema.$ref.replace('#/$defs/', '')]
  const branches = [...(of.anyOf ?? []), ...(of.oneOf ?? [])].flatMap((one) => membersOf(one, defs, where))
  const items = of.items === undefined ? [] : membersOf(of.items, defs, `${where}[]`)
  const inMap =
    typeof of.additionalProperties === 'object' ? membersOf(of.additionalProperties, defs, `${where}*`) : []
  const own = Object.entries<Loose>(of.properties ?? {}).flatMap(([name, inner]) => [
    `${where}.${name}`,
    ...membersOf(inner, defs, `${where}.${name}`),
  ])
  return [...new Set([...branches, ...items, ...inMap, ...own])].sort()
}

it('the certificate has the members that its reference gives it', () => {
  const file = join(import.meta.dirname, '../../../../docs/reference/retirement-certificate.schema.json')
  const reference = JSON.parse(readFileSync(file, 'utf8'))
  const served = z.toJSONSchema(retirementCertificate, { io: 'input' })
  expect(membersOf(served, {})).toEqual(membersOf(reference, reference.$defs))
})
