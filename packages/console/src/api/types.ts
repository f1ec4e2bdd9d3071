// Types only: nothing of the server's schemas is bundled.
export type {
  AuditEventBody as AuditEvent,
  AuditListBody as AuditPage,
  InstanceEntryBody as Instance,
  InstanceListBody as InstanceList,
  KekEntryBody as Kek,
  KekStatusBody as KekStatus,
  LiveEvent,
  RetirementCertificateBody as Certificate,
  RotationDetailsBody as RotationDetails,
  RotationFailureBody as RotationFailure,
  RotationOperationBody as Rotation,
  SecretEntryBody as Secret,
  SecretListBody as SecretPage,
  SessionBody as SessionInfo,
  WaitingInstance,
} from '../../../express/src/schemas/index.ts'
