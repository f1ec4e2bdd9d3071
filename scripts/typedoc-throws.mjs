/**
 * A TypeDoc plugin: every `@throws` names an error class that is documented or built in, and no code that does not exist.
 * TypeDoc itself takes the tag's text for prose.
 */
import { Application, ReflectionKind } from 'typedoc'

const BUILT_IN = ['TypeError', 'RangeError', 'AggregateError', 'AssertionError']
/** `StoreError`, or `LifecycleError, StoreError`. */
const CLASSES = /^[A-Z]\w*(?:, [A-Z]\w*)*/

export function load(app) {
  app.on(Application.EVENT_VALIDATE_PROJECT, (project) => {
    // Packages are validated one by one first, when the classes of the others are not known yet.
    if (app.options.getValue('entryPointStrategy') !== 'packages') return
    const classes = project.getReflectionsByKind(ReflectionKind.Class).map(({ name }) => name)
    const codes = project
      .getReflectionsByKind(ReflectionKind.Variable)
      .filter(({ name }) => name === 'ERROR_CODES')
      .flatMap(({ type }) => type?.declaration?.children ?? [])
      .map(({ name }) => name)
    for (const reflection of Object.values(project.reflections)) {
      for (const tag of reflection.comment?.getTags('@throws') ?? []) {
        const text = tag.content.map((part) => part.text).join('')
        const where = `The @throws of ${reflection.getFullName()}`
        const named = CLASSES.exec(text)?.[0].split(', ') ?? []
        if (named.length === 0)
          app.logger.validationWarning(`${where} does not begin with an error class: ${text}`)
        for (const name of named) {
          if (![...classes, ...BUILT_IN].includes(name)) {
            app.logger.validationWarning(`${where} names ${name}, which is neither documented nor built in`)
          }
        }
        for (const [code] of text.matchAll(/ERR_\w+/g)) {
          if (!codes.includes(code))
            app.logger.validationWarning(`${where} names ${code}, which is not in ERROR_CODES`)
        }
      }
    }
  })
}
