import type { Attributes, SpanContext } from '@opentelemetry/api'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import type { RotateResult, Secret, SecretStore, SecretVault } from '@talos/envelope'
import { type CallSpans, type SpanOfCall, withinSpan } from './call-spans.ts'
import { ATTRIBUTE } from './names.ts'

/** What the traced vault does beside making spans. */
export interface TracedVaultOptions {
  readonly spans: CallSpans
  /** Hears which span began or joined a rotation. */
  readonly onRotate: (rotationId: string, span: SpanContext) => void
  /** Closes the vault and ends what is reported of it. */
  readonly close: () => Promise<void>
}

/**
 * The same vault, with a span around every call that reads or writes secrets or begins a rotation. Everything else is the
 * vault's own, also what a later version of it has.
 */
export function tracedVault(vault: SecretVault, { spans, onRotate, close }: TracedVaultOptions): SecretVault {
  const { rotations } = vault
  return replacing(vault, {
    ...tracedSecrets(vault, spans),
    import: (...args: Parameters<SecretVault['import']>) =>
      withinSpan(spans, called('import', toldOutcome), () => vault.import(...args)),
    reencrypt: (...args: Parameters<SecretVault['reencrypt']>) =>
      withinSpan(spans, called('reencrypt', toldOutcome), () => vault.reencrypt(...args)),
    rotate: (...args: Parameters<SecretVault['rotate']>) =>
      withinSpan(
        spans,
        { ...called('rotate', toldRotation), beginsWork: true },
        () => vault.rotate(...args),
        ({ id }, span) => onRotate(id, span),
      ),
    // These too begin work that goes on after them.
    rotations: replacing(rotations, {
      resume: (...args: Parameters<VaultRotations['resume']>) =>
        context.with(ROOT_CONTEXT, () => rotations.resume(...args)),
      retryFailed: (...args: Parameters<VaultRotations['retryFailed']>) =>
        context.with(ROOT_CONTEXT, () => rotations.retryFailed(...args)),
    }),
    within: (store: SecretStore) => {
      const view = vault.within(store)
      return replacing(view, tracedSecrets(view, spans))
    },
    close,
    [Symbol.asyncDispose]: close,
  })
}

type VaultRotations = SecretVault['rotations']
type Secrets = Pick<SecretVault, 'put' | 'get' | 'getMany' | 'delete'>

function tracedSecrets(secrets: Secrets, spans: CallSpans): Secrets {
  return {
    put: (...args) => withinSpan(spans, called('put', toldOutcome), () => secrets.put(...args)),
    get: (...args) => withinSpan(spans, called('get', toldSecret), () => secrets.get(...args)),
    getMany: (...args) => {
      const [names] = args
      const asked = { [ATTRIBUTE.secrets]: Array.isArray(names) ? names.length : 0 }
      const span = { ...called('getMany', toldSecrets), attributes: asked }
      return withinSpan(spans, span, () => secrets.getMany(...args))
    },
    delete: (...args) => withinSpan(spans, called('delete', toldOutcome), () => secrets.delete(...args)),
  }
}

function called<T>(operation: string, attributesOf: (answer: T) => Attributes): SpanOfCall<T> {
  const name = `talos.envelope.${operation.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)}`
  return { name, attributes: {}, attributesOf }
}

function toldOutcome({ outcome }: { readonly outcome: string }): Attributes {
  return { [ATTRIBUTE.outcome]: outcome }
}

function toldSecret(secret: Secret | null): Attributes {
  return secret === null
    ? { [ATTRIBUTE.outcome]: 'missing' }
    : { [ATTRIBUTE.outcome]: 'found', [ATTRIBUTE.kekId]: secret.kekId }
}

function toldSecrets(secrets: readonly (Secret | null)[]): Attributes {
  const missing = secrets.filter((secret) => secret === null).length
  const some = missing < secrets.length ? 'partly' : 'missing'
  return { [ATTRIBUTE.outcome]: missing === 0 ? 'found' : some }
}

function toldRotation({ id, started, waitingFor }: RotateResult): Attributes {
  return {
    [ATTRIBUTE.outcome]: started ? 'started' : 'joined',
    [ATTRIBUTE.rotationId]: id,
    [ATTRIBUTE.rotationWaiting]: waitingFor.length,
  }
}

/** An object with some members replaced. Other methods run on the object itself, whose private members no copy has. */
function replacing<T extends object>(object: T, members: Partial<Record<keyof T, unknown>>): T {
  const bound = new Map<PropertyKey, unknown>(
    Reflect.ownKeys(members).map((key) => [key, members[key as keyof T]]),
  )
  return new Proxy(object, {
    get(target, property) {
      const known = bound.get(property)
      if (known !== undefined) return known
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      const method: unknown = value.bind(target)
      bound.set(property, method)
      return method
    },
  })
}
