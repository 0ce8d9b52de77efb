import { Badge, Button, Group, Text } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useReducer, useState } from 'react'
import { api, data } from '../api/client'
import { toggleRecording } from '../api/desk'
import { isProblem } from '../api/problem'
import { meQuery } from '../app/session'
import { useText } from '../i18n/text'
import { agentName, type Call, customerName, StatusBadge } from '../kit/calls'
import { Confirm } from '../kit/confirm'
import { LinkAnchor } from '../kit/links'
import { useNotify } from '../kit/notify'
import { Page } from '../kit/page'
import { sentence } from '../kit/problem'
import { Empty, Loading } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { duration, phone } from '../lib/format'
import { nothing, told } from '../lib/live'
import { safe } from '../lib/safe'
import { Agents, CallbacksWaiting } from './agents'

/** Follows the server's events while the page is open. */
function useLive() {
  const [live, tell] = useReducer(told, nothing)
  const queries = useQueryClient()
  useEffect(() => {
    let source: EventSource | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    let wait = 1_000 // ms, doubled up to 15 s
    const open = () => {
      const s = new EventSource('/api/v1/events')
      source = s
      s.addEventListener('calls', (e) => {
        wait = 1_000
        tell({ calls: JSON.parse(e.data).calls })
      })
      s.addEventListener('call', (e) => tell({ call: JSON.parse(e.data) }))
      s.addEventListener('gone', (e) => tell({ gone: JSON.parse(e.data).id }))
      s.onerror = () => {
        tell({ lost: true })
        s.close()
        void queries.invalidateQueries({ queryKey: meQuery.queryKey }) // the stream also ends with the session
        timer = setTimeout(open, wait)
        wait = Math.min(2 * wait, 15_000)
      }
    }
    open()
    return () => {
      source?.close()
      clearTimeout(timer)
    }
  }, [queries])
  return live
}

export function LivePage() {
  const { t } = useText()
  const notify = useNotify()
  const live = useLive()
  const [ending, setEnding] = useState<Call>()
  return (
    <Page
      title={t('live.title')}
      actions={
        <>
          <CallbacksWaiting />
          <Badge role="status" color={live.connected ? 'leaf' : 'orange'} variant="light" tt="none" size="lg">
            {t(live.connected ? 'live.connected' : 'live.lost')}
          </Badge>
        </>
      }
    >
      {!live.known ? (
        <Loading />
      ) : live.calls.length === 0 ? (
        <Empty title={t('live.empty')} text={t('live.emptyText')} />
      ) : (
        <>
          <Text c="dimmed" role="status">
            {t('live.count', { n: live.calls.length })}
          </Text>
          <LiveTable calls={live.calls} hangup={setEnding} />
        </>
      )}
      <Agents />
      {ending && (
        <Confirm
          title={t('live.hangupTitle')}
          text={t('live.hangupText', { agent: agentName(t, ending), name: customerName(t, ending.customer) })}
          action={t('live.hangup')}
          run={() => data(api.POST('/api/v1/live/calls/{id}/hangup', { params: { path: { id: ending.id } } }))}
          done={() => notify(t('live.hungUp'))}
          close={() => setEnding(undefined)}
        />
      )}
    </Page>
  )
}

function LiveTable({ calls, hangup }: { calls: Call[]; hangup: (c: Call) => void }) {
  const { t, coded } = useText()
  const columns: Column<Call>[] = [
    {
      key: 'customer',
      title: t('calls.customer'),
      cell: (c) => (
        <div>
          <LinkAnchor to="/calls/$id" params={{ id: c.id }} className="name" fw={500} size="sm">
            {customerName(t, c.customer)}
          </LinkAnchor>
          {safe(c.customer.name) !== '' && c.customer.phone && (
            <Text size="xs" c="dimmed" className="tabular">
              {phone(c.customer.phone)}
            </Text>
          )}
        </div>
      ),
    },
    { key: 'direction', title: t('calls.status'), cell: (c) => <StatusBadge call={c} /> },
    { key: 'line', title: t('calls.line'), cell: (c) => safe(c.line_name) || safe(c.line) },
    { key: 'agent', title: t('calls.agent'), cell: (c) => <span className="name">{agentName(t, c)}</span> },
    { key: 'state', title: t('live.state'), cell: (c) => coded('state', c.state) },
    { key: 'codec', title: t('call.codec'), cell: (c) => <Codecs id={c.id} state={c.state} /> },
    { key: 'since', title: t('live.since'), right: true, cell: (c) => <Timer since={c.answered_at ?? c.offered_at} /> },
    {
      key: 'hangup',
      title: t('app.actions'),
      hideTitle: true,
      right: true,
      cell: (c) => (
        <Group gap="xs" justify="flex-end">
          <RecordingToggle call={c} />
          <Button
            size="xs"
            color="red"
            variant="light"
            onClick={() => hangup(c)}
            aria-label={t('live.hangupOf', { name: customerName(t, c.customer) })}
          >
            {t('live.hangup')}
          </Button>
        </Group>
      ),
    },
  ]
  return <DataTable label={t('live.title')} columns={columns} rows={calls} id={(c) => c.id} />
}

/** Begins, pauses or resumes the recording, as the agent’s keys do. Before the call is answered there is nothing to record. */
function RecordingToggle({ call }: { call: Call }) {
  const { t } = useText()
  const notify = useNotify()
  const queries = useQueryClient()
  const toggle = useMutation({
    mutationFn: () => toggleRecording(call.id),
    onSuccess: () => {
      notify(t('live.recordingDone'))
      return queries.invalidateQueries({ queryKey: ['recordings', call.id] })
    },
    onError: (e) => notify(isProblem(e, 'not_found') ? t('live.recordingNone') : sentence(t, e)),
  })
  if (!call.answered_at) return null
  return (
    <Button
      size="xs"
      variant="default"
      loading={toggle.isPending}
      onClick={() => toggle.mutate()}
      aria-label={t('live.recordingOf', { name: customerName(t, call.customer) })}
    >
      {t('live.recording')}
    </Button>
  )
}

/** A running call's codecs, of its detail: the events do not bear them. */
function Codecs({ id, state }: { id: string; state: string }) {
  const { data: d } = useQuery({
    queryKey: ['call', id, 'codecs', state],
    queryFn: () => data(api.GET('/api/v1/calls/{id}', { params: { path: { id } } })),
    enabled: state === 'talking' || state === 'held',
    staleTime: Number.POSITIVE_INFINITY,
  })
  const codecs = (d?.legs ?? []).map((l) => safe(l.codec)).filter(Boolean)
  return codecs.length > 0 ? <span className="tabular">{[...new Set(codecs)].join(' – ')}</span> : null
}

/** Counts up by the browser's clock. A browser whose clock is behind begins at zero. */
function Timer({ since }: { since: string }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const tick = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(tick)
  }, [])
  return <span className="tabular">{duration(Math.max(0, (now - Date.parse(since)) / 1000))}</span>
}
