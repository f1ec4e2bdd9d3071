import { z } from 'zod'

/** The members of a problem beside the standard ones. Which of them are there depends on the code. */
const extensions = {
  op_id: z.string().optional().meta({ description: 'The rotation that is active.' }),
  op_status: z.string().optional().meta({ description: 'How far the rotation is.' }),
  status_url: z.string().optional(),
  reasons: z.array(z.string()).optional().meta({ description: 'One for each thing that stands in the way.' }),
  required_role: z.string().optional(),
  errors: z
    .array(z.object({ pointer: z.string() }))
    .optional()
    .meta({ description: 'JSON pointers of the members at fault.' }),
}

/** Every answer from 400 on (RFC 9457), with the `error` member that older gateways read. */
export const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  detail: z.string().meta({ description: 'A fixed text for each code.' }),
  code: z.string().meta({ description: 'Stable: switch on it.' }),
  ...extensions,
  error: z.object({ code: z.string(), message: z.string(), ...extensions }),
})

export type ProblemBody = z.infer<typeof problem>
