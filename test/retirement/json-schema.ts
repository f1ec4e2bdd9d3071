import { readFileSync } from 'node:fs'
import { join } from 'node:path'

type Schema = boolean | { readonly [keyword: string]: unknown }

const REPOSITORY = join(import.meta.dirname, '../..')

/** What JSON Schema calls a type. */
const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  null: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  string: (value) => typeof value === 'string',
  number: (value) => Number.isFinite(value),
  integer: (value) => Number.isInteger(value),
  array: (value) => Array.isArray(value),
  object: isObject,
}

/** Keywords that say nothing of a value. */
const SILENT = ['$schema', '$id', '$defs', 'title', 'description']

/** The subset of JSON Schema 2020-12 that the schema of certificates uses. A keyword outside of it is an error, not a pass. */
export class JsonSchema {
  readonly root: Exclude<Schema, boolean>

  constructor(root: Exclude<Schema, boolean>) {
    this.root = root
  }

  static read(path: string): JsonSchema {
    return new JsonSchema(
      JSON.parse(readFileSync(join(REPOSITORY, path), 'utf8')) as Exclude<Schema, boolean>,
    )
  }

  /** What is wrong with a value, each with where; empty when it is valid. */
  faults(value: unknown): readonly string[] {
    return this.#check(value, this.root, '$')
  }

  #check(value: unknown, schema: Schema, at: string): string[] {
    if (schema === true) return []
    if (schema === false) return [`${at} is not expected`]
    return Object.entries(schema).flatMap(([keyword, rule]) => this.#apply(keyword, rule, value, schema, at))
  }

  #apply(
    keyword: string,
    rule: unknown,
    value: unknown,
    schema: Exclude<Schema, boolean>,
    at: string,
  ): string[] {
    const fault = (isValid: boolean): string[] => (isValid ? [] : [`${at} breaks ${keyword}`])
    const isNumber = typeof value === 'number'
    switch (keyword) {
      case '$ref':
        return this.#check(value, this.#defined(rule as string), at)
      case 'type':
        return fault([rule].flat().some((type) => TYPES[type as string]?.(value) === true))
      case 'const':
        return fault(value === rule)
      case 'enum':
        return fault((rule as unknown[]).includes(value))
      case 'pattern':
        return fault(typeof value !== 'string' || new RegExp(rule as string, 'u').test(value))
      case 'minLength':
        return fault(typeof value !== 'string' || value.length >= (rule as number))
      case 'minimum':
        return fault(!isNumber || value >= (rule as number))
      case 'minItems':
        return fault(!Array.isArray(value) || value.length >= (rule as number))
      case 'maxItems':
        return fault(!Array.isArray(value) || value.length <= (rule as number))
      case 'items':
        if (!Array.isArray(value)) return []
        return value.flatMap((item, index) => this.#check(item, rule as Schema, `${at}[${index}]`))
      case 'contains':
        return fault(
          !Array.isArray(value) || value.some((item) => this.#check(item, rule as Schema, at).length === 0),
        )
      case 'required':
        if (!isObject(value)) return []
        return (rule as string[]).flatMap((name) =>
          Object.hasOwn(value, name) ? [] : [`${at}.${name} is missing`],
        )
      case 'properties':
        if (!isObject(value)) return []
        return Object.entries(rule as Record<string, Schema>).flatMap(([name, inner]) =>
          Object.hasOwn(value, name) ? this.#check(value[name], inner, `${at}.${name}`) : [],
        )
      case 'additionalProperties': {
        if (!isObject(value)) return []
        const named = Object.keys((schema['properties'] as object | undefined) ?? {})
        const others = Object.keys(value).filter((name) => !named.includes(name))
        return others.flatMap((name) => this.#check(value[name], rule as Schema, `${at}.${name}`))
      }
      case 'oneOf':
        return fault(
          (rule as Schema[]).filter((inner) => this.#check(value, inner, at).length === 0).length === 1,
        )
      default:
        if (SILENT.includes(keyword)) return []
        throw new Error(`the schema has ${keyword}, which this validator does not know`)
    }
  }

  #defined(reference: string): Schema {
    const [, name = ''] = /^#\/\$defs\/(.+)$/.exec(reference) ?? []
    const schema = (this.root['$defs'] as Record<string, Schema> | undefined)?.[name]
    if (schema === undefined) throw new Error(`the schema has no ${reference}`)
    return schema
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
