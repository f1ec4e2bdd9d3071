import { expect, it } from 'vitest'
import type { z } from 'zod'
import { problemsOf } from '../../src/openapi.ts'
import { PROBLEMS, type ProblemCode } from '../../src/problem.ts'
import { findRoute, type Route } from '../../src/route.ts'
import { problem } from '../../src/schemas/problem.ts'
import { answers } from '../support/client.ts'
import { routesForReading } from '../support/route-table.ts'

const ROUTES = routesForReading()
/** What may be missing or cannot be asked for to its end. */
const MAY_BE_SILENT = ['readConsole', 'readConsoleFile', 'streamEvents']

/** Parsing leaves out what a schema does not name: what is left is all there was, or something was not documented. */
function expectDocumented(schema: z.ZodType, json: unknown): void {
  expect(schema.parse(json)).toEqual(json)
}

function routeOf(asked: string): Route | undefined {
  const [method = '', target = ''] = asked.split(' ')
  const [path = ''] = target.split('?')
  return findRoute(ROUTES, method, path, false)?.match?.route
}

/** Every answer of the run against the schemas and codes that the OpenAPI document is made of. Comes last. */
export function documentedContract(): void {
  it('every answer is one that the OpenAPI document tells: its status, its code and each of its members', () => {
    const seen = new Set<string>()
    for (const { asked, answer } of answers) {
      const route = routeOf(asked)
      if (route === undefined || answer.text === 'host' || answer.text === '') continue
      const { status, json, headers } = answer
      const type = `${headers['content-type']}`
      if (type.startsWith('application/problem+json')) {
        expectDocumented(problem, json)
        const code = json.code as ProblemCode
        expect([asked, code, problemsOf(route).includes(code)]).toEqual([asked, code, true])
        expect([code, status]).toEqual([code, PROBLEMS[code][0]])
        seen.add(`${route.operation} ${code}`)
        continue
      }
      const told = route.answers.find((row) => row.status === status)
      expect([asked, status, told !== undefined]).toEqual([asked, status, true])
      if (told?.schema !== undefined) expectDocumented(told.schema[1], json)
      else expect(type.startsWith(`${told?.type}`.replace('*/*', ''))).toBe(true)
      seen.add(`${route.operation} ${status}`)
    }
    const isAnswered = (operation: string) => [...seen].some((text) => text.startsWith(`${operation} 2`))
    const silent = ROUTES.map(({ operation }) => operation).filter((operation) => !isAnswered(operation))
    expect(silent.filter((operation) => !MAY_BE_SILENT.includes(operation))).toEqual([])
    console.log(`${answers.length} answers, ${seen.size} kinds of answer, all of them documented`)
  })
}
