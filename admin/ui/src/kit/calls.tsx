import { Badge, Group, Text } from '@mantine/core'
import IconPhoneIncoming from '@tabler/icons-react/dist/esm/icons/IconPhoneIncoming.mjs'
import IconPhoneOutgoing from '@tabler/icons-react/dist/esm/icons/IconPhoneOutgoing.mjs'
import type { Schemas } from '../api/client'
import { type Translate, useText } from '../i18n/text'
import { phone } from '../lib/format'
import { safe } from '../lib/safe'

export type Call = Schemas['CallView']

/** What a customer is called: name, WhatsApp name, number, alias, or that there is none of them. */
export function customerName(t: Translate, c: Call['customer']): string {
  return (
    safe(c.name) ||
    safe(c.username) ||
    phone(c.phone) ||
    safe(c.alias) ||
    t(c.erased ? 'calls.erased' : 'calls.unknown')
  )
}

/** The person at the telephone, or the telephone. */
export function agentName(t: Translate, c: Call): string {
  return safe(c.agent_name) || target(t, c.agent) || t('calls.nobody')
}

/** A target in words: phone:1001 is Phone 1001, trunk:pbx/204 is pbx/204. */
export function target(t: Translate, s: string | undefined): string {
  const [kind, number = ''] = safe(s).split(/:(.*)/)
  return kind === 'phone' ? t('calls.phone', { number }) : number || (kind ?? '')
}

const colors: Record<string, string> = { incoming: 'leaf', outgoing: 'blue', missed: 'red', canceled: 'gray' }

export function StatusBadge({ call }: { call: Call }) {
  const { t, coded } = useText()
  const outgoing = call.direction === 'outbound'
  const Icon = outgoing ? IconPhoneOutgoing : IconPhoneIncoming
  return (
    <Group gap={6} wrap="nowrap" className="status">
      <Icon size={16} role="img" aria-label={t(outgoing ? 'direction.outbound' : 'direction.inbound')} />
      <Badge color={colors[call.group] ?? 'gray'} variant="light" tt="none" autoContrast>
        {coded('calls', call.group)}
      </Badge>
    </Group>
  )
}

export function Status({ call }: { call: Call }) {
  const { coded } = useText()
  return (
    <div>
      <StatusBadge call={call} />
      {call.reason && call.reason !== 'hangup' && (
        <Text size="xs" c="dimmed">
          {coded('reason', call.reason)}
        </Text>
      )}
    </div>
  )
}
