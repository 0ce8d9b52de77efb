import { Group, List, Text } from '@mantine/core'
import IconCircleCheck from '@tabler/icons-react/dist/esm/icons/IconCircleCheck.mjs'
import IconCircleX from '@tabler/icons-react/dist/esm/icons/IconCircleX.mjs'
import type { Decision, Permission } from '../api/desk'
import { useText } from '../i18n/text'
import { explain } from '../lib/decision'

/** What the rules say of one action: yes or no, why, and when next. */
export function Verdict({ name, decision: d }: { name?: string; decision: Decision }) {
  const { t, f } = useText()
  const Icon = d.allowed ? IconCircleCheck : IconCircleX
  return (
    <Group gap="xs" wrap="nowrap" align="flex-start">
      <Icon
        size={20}
        role="img"
        aria-label={t(d.allowed ? 'verdict.allowed' : 'verdict.refused')}
        color={d.allowed ? 'var(--mantine-color-leaf-text)' : 'var(--mantine-color-orange-text)'}
        style={{ flex: 'none', marginTop: 2 }}
      />
      <div>
        {name && (
          <Text size="sm" fw={600} component="span">
            {name}{' '}
          </Text>
        )}
        <Text size="sm" component="span">
          {explain(t, f, d)}
        </Text>
        {d.next_allowed && !d.params?.until && (
          <Text size="xs" c="dimmed">
            {t('verdict.next', { at: f.dateTime(d.next_allowed) })}
          </Text>
        )}
        {d.override && (
          <Text size="xs" c="dimmed">
            {t('verdict.override')}
          </Text>
        )}
      </div>
    </Group>
  )
}

/** The limits a decision looked at. */
export function Counters({ decision }: { decision: Decision }) {
  const { t, coded } = useText()
  const list = (decision.counters ?? []).filter((c) => c.max > 0)
  if (list.length === 0) return null
  return (
    <List size="sm">
      {list.map((c) => (
        <List.Item key={`${c.name} ${c.scope} ${c.window_seconds}`}>
          {t('verdict.counter', {
            name: coded('counter', c.name),
            scope: coded('counter.scope', c.scope),
            used: c.used,
            max: c.max,
            window: span(coded, c.window_seconds, c.name),
          })}
        </List.Item>
      ))}
    </List>
  )
}

const day = 24 * 3600 // s

function span(coded: (p: string, c: string) => string, window: number, name: string): string {
  if (window === 0) return coded('counter.in', name === 'concurrency' ? 'atOnce' : 'row')
  if (window === day) return coded('counter.in', '24h')
  if (window === 7 * day) return coded('counter.in', '7d')
  return `/ ${Math.round(window / 3600)} h`
}

/** Where a permission stands, in a sentence. */
export function Standing({ permission: p }: { permission: Permission }) {
  const { t, f, coded } = useText()
  const parts = [
    coded('standing', p.standing),
    p.expires ? t('standing.until', { at: f.dateTime(p.expires) }) : '',
    p.since ? t('standing.since', { at: f.dateTime(p.since) }) : '',
    p.source ? coded('standing.source', p.source) : '',
  ]
  return (
    <div>
      <Text size="sm">{parts.filter(Boolean).join(' · ')}</Text>
      {p.missed && <Text size="sm">{t('standing.missed')}</Text>}
      {p.pending && p.standing !== 'requested' && <Text size="sm">{t('standing.pending')}</Text>}
    </div>
  )
}
