import { Badge, Button, Group, Text } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { type Callback, customerTimeline, type Entry, type Message, type PermissionEvent } from '../api/desk'
import { type Translate, useText } from '../i18n/text'
import { agentName, type Call, StatusBadge, target } from '../kit/calls'
import { useLineName } from '../kit/linename'
import { LinkAnchor } from '../kit/links'
import { Failure } from '../kit/problem'
import { Empty, Loading } from '../kit/states'
import { duration } from '../lib/format'
import { safe } from '../lib/safe'

/** Everything between the company and a customer, the newest at the bottom as in a chat. */
export function CustomerTimeline({ id }: { id: string }) {
  const { t } = useText()
  const timeline = useInfiniteQuery({
    queryKey: ['timeline', id],
    queryFn: ({ pageParam }) => customerTimeline(id, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next,
    refetchInterval: 10_000,
    maxPages: 20,
  })
  if (timeline.isPending) return <Loading />
  const entries = (timeline.data?.pages ?? []).flatMap((p) => p.entries ?? []).reverse()
  return (
    <>
      {timeline.isError && <Failure error={timeline.error} retry={() => void timeline.refetch()} />}
      {timeline.hasNextPage && (
        <Group justify="center">
          <Button
            size="xs"
            variant="default"
            loading={timeline.isFetchingNextPage}
            onClick={() => void timeline.fetchNextPage()}
          >
            {t('timeline.older')}
          </Button>
        </Group>
      )}
      {entries.length === 0 && !timeline.isError ? (
        <Empty title={t('timeline.empty')} text={t('timeline.emptyText')} />
      ) : (
        <ol className="talk" aria-label={t('customer.timeline')}>
          {entries.map((e) => (
            <One key={entryKey(e)} entry={e} />
          ))}
        </ol>
      )}
    </>
  )
}

function entryKey(e: Entry): string {
  const id = e.call?.id ?? e.message?.id ?? e.callback?.id ?? e.permission?.kind
  return `${e.at} ${e.kind} ${id}`
}

function One({ entry: e }: { entry: Entry }) {
  if (e.call) return <CallEntry call={e.call} />
  if (e.message) return <MessageEntry at={e.at} message={e.message} />
  if (e.permission) return <PermissionEntry at={e.at} permission={e.permission} />
  if (e.callback) return <CallbackEntry at={e.at} callback={e.callback} />
  return null // a kind of a newer version
}

/** Customers’ entries stand on the left, ours on the right, what happened by itself in the middle. */
function Row({ side, children }: { side: 'flex-start' | 'flex-end' | 'center'; children: ReactNode }) {
  return <li style={{ display: 'flex', flexDirection: 'column', alignItems: side }}>{children}</li>
}

function At({ at, more }: { at: string; more?: string }) {
  const { f } = useText()
  return (
    <Text size="xs" c="dimmed">
      <time dateTime={at} title={f.exact(at)}>
        {f.dateTime(at)}
      </time>
      {more ? ` · ${more}` : ''}
    </Text>
  )
}

function CallEntry({ call: c }: { call: Call }) {
  const { t, coded } = useText()
  const out = c.direction === 'outbound'
  const line = safe(c.line_name) || safe(c.line)
  const how = c.answered_at ? duration(c.talk_seconds) : coded('reason', c.reason)
  return (
    <Row side={out ? 'flex-end' : 'flex-start'}>
      <div className={out ? 'bubble bubble-out' : 'bubble'}>
        <Group gap="xs">
          <StatusBadge call={c} />
          <Text size="sm">{c.ended_at ? t('timeline.callEnded', { how }) : t('timeline.callRuns')}</Text>
          <LinkAnchor to="/calls/$id" params={{ id: c.id }} size="sm">
            {t('timeline.record')}
          </LinkAnchor>
        </Group>
      </div>
      <At at={c.offered_at} more={[agentName(t, c), line].join(' · ')} />
    </Row>
  )
}

/** What a message says, or in words what it is when it has no text to show. */
function MessageEntry({ at, message: m }: { at: string; message: Message }) {
  const { t, coded } = useText()
  const line = useLineName()
  const text = lined(m.text)
  const out = m.out === true
  const template = m.template ? t('timeline.template', { name: safe(m.template) }) : ''
  const more = [
    coded('message', m.status),
    m.kind === 'text' || !text ? '' : coded('messageKind', m.kind),
    template,
    line(m.line),
    out ? by(t, m.by) : '',
  ]
  return (
    <Row side={out ? 'flex-end' : 'flex-start'}>
      <div className={out ? 'bubble bubble-out' : 'bubble'}>{text || coded('messageKind', m.kind)}</div>
      <At at={at} more={more.filter(Boolean).join(' · ')} />
    </Row>
  )
}

/** A stranger's text of several lines: each line is made safe by itself. */
function lined(text: string | undefined): string {
  return (text ?? '').split('\n').map(safe).join('\n').trim()
}

/** Who did it: the login of a user, a telephone in words. */
function by(t: Translate, who: string | undefined): string {
  return who?.startsWith('user:') ? safe(who.slice(5)) : target(t, who)
}

function PermissionEntry({ at, permission: p }: { at: string; permission: PermissionEvent }) {
  const { t, f, coded } = useText()
  const line = useLineName()
  const parts = [
    coded('event', p.kind),
    p.permanent ? t('permission.permanent') : p.expires ? t('standing.until', { at: f.dateTime(p.expires) }) : '',
    p.automatic ? t('permission.automatic') : '',
  ]
  return (
    <Row side="center">
      <Badge variant="default" tt="none" size="lg" h="auto" styles={{ label: { whiteSpace: 'normal' } }}>
        {parts.filter(Boolean).join(' · ')}
      </Badge>
      <At at={at} more={[line(p.line), by(t, p.by), safe(p.reason)].filter(Boolean).join(' · ')} />
    </Row>
  )
}

function CallbackEntry({ at, callback: c }: { at: string; callback: Callback }) {
  const { t, f, coded } = useText()
  return (
    <Row side="center">
      <Badge variant="default" tt="none" size="lg" h="auto" styles={{ label: { whiteSpace: 'normal' } }}>
        {t('timeline.callback', { state: coded('callbacks.state', c.state), due: f.dateTime(c.due) })}
      </Badge>
      <At at={at} more={safe(c.note)} />
    </Row>
  )
}
