export type { AuditEventBody, AuditListBody } from './audit.ts'
export type { LiveEvent } from './events.ts'
export type { WaitingInstance } from './fields.ts'
export type { HealthBody, InstanceEntryBody, InstanceListBody, SessionBody } from './fleet.ts'
export type {
  KekChangedBody,
  KekCommandBody,
  KekCountsBody,
  KekEntryBody,
  KekStatusBody,
  PromoteKekBody,
  RetireKekBody,
} from './keks.ts'
export type { ProblemBody } from './problem.ts'
export type { RetirementCertificateBody } from './retirement.ts'
export type {
  RotationAccepted,
  RotationActionAccepted,
  RotationActionBody,
  RotationDetailsBody,
  RotationFailureBody,
  RotationListBody,
  RotationOperationBody,
  RotationProgressBody,
  RotationStatusName,
  StartRotationBody,
} from './rotations.ts'
export type { PutSecretBody, SecretEntryBody, SecretListBody } from './secrets.ts'
