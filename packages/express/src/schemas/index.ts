export type { AuditEventBody, AuditListBody } from './audit.ts'
export { auditEvent, auditList, auditQuery } from './audit.ts'
export type { LiveEvent } from './events.ts'
export { liveEvent, liveEvents } from './events.ts'
export type { WaitingInstance } from './fields.ts'
export { waitingFor } from './fields.ts'
export type { HealthBody, InstanceEntryBody, InstanceListBody, SessionBody } from './fleet.ts'
export { health, instanceEntry, instanceList, session } from './fleet.ts'
export type {
  KekChangedBody,
  KekCommandBody,
  KekCountsBody,
  KekEntryBody,
  KekStatusBody,
  PromoteKekBody,
  RetireKekBody,
} from './keks.ts'
export {
  kekChanged,
  kekCommandBody,
  kekCounts,
  kekEntry,
  kekStatus,
  promoteKekBody,
  retireKekBody,
  retirementQuery,
} from './keks.ts'
export type { ProblemBody } from './problem.ts'
export { problem } from './problem.ts'
export type { RetirementCertificateBody } from './retirement.ts'
export { retirementCertificate } from './retirement.ts'
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
export {
  rotationAccepted,
  rotationActionAccepted,
  rotationActionBody,
  rotationDetails,
  rotationFailure,
  rotationList,
  rotationListQuery,
  rotationOperation,
  rotationProgress,
  startRotationBody,
} from './rotations.ts'
export type { PutSecretBody, SecretEntryBody, SecretListBody } from './secrets.ts'
export {
  deleteSecretQuery,
  putSecretBody,
  secretDeleted,
  secretEntry,
  secretList,
  secretListQuery,
  secretStored,
} from './secrets.ts'
