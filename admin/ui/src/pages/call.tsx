import { Alert, Badge, Group, Paper, SimpleGrid, Stack, Table, Text, Timeline } from '@mantine/core'
import IconArrowLeft from '@tabler/icons-react/dist/esm/icons/IconArrowLeft.mjs'
import IconMessages from '@tabler/icons-react/dist/esm/icons/IconMessages.mjs'
import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { api, data, type Schemas } from '../api/client'
import { isProblem } from '../api/problem'
import { useText } from '../i18n/text'
import { agentName, type Call, customerName, StatusBadge, target } from '../kit/calls'
import { Copy } from '../kit/copy'
import { LinkButton } from '../kit/links'
import { Page, Section } from '../kit/page'
import { Empty, Loaded } from '../kit/states'
import { duration, phone } from '../lib/format'
import { safe } from '../lib/safe'
import { NoteForm } from './note'
import { Proof } from './proof'
import { Recordings } from './recordings'

type Detail = Schemas['CallDetail']

export function CallPage() {
  const { t } = useText()
  const { id } = useParams({ from: '/panel/calls/$id' })
  const call = useQuery({
    queryKey: ['call', id],
    queryFn: () => data(api.GET('/api/v1/calls/{id}', { params: { path: { id } } })),
    refetchInterval: (q) => (q.state.data?.call.group === 'running' ? 3_000 : false),
  })
  const title = call.data ? t('call.title', { name: customerName(t, call.data.call.customer) }) : t('calls.title')
  const customer = call.data?.call.customer.id
  const back = (
    <>
      {customer && (
        <LinkButton
          to="/customers/$id"
          params={{ id: customer }}
          variant="default"
          leftSection={<IconMessages size={16} aria-hidden />}
        >
          {t('customer.view')}
        </LinkButton>
      )}
      <LinkButton to="/calls" search={{}} variant="default" leftSection={<IconArrowLeft size={16} aria-hidden />}>
        {t('call.back')}
      </LinkButton>
    </>
  )
  if (isProblem(call.error, 'not_found') || isProblem(call.error, 'invalid')) {
    return (
      <Page title={t('call.gone')} actions={back}>
        <Empty title={t('call.gone')} text={t('call.goneText')} />
      </Page>
    )
  }
  return (
    <Page title={title} actions={back}>
      <Loaded query={call}>{(d) => <Parts d={d} id={id} />}</Loaded>
    </Page>
  )
}

function Parts({ d, id }: { d: Detail; id: string }) {
  const { t } = useText()
  return (
    <Stack gap="xl">
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl" verticalSpacing="xl">
        <Overview d={d} />
        <Stack gap="xl">
          <Proof call={id} without={<Decision d={d} />} />
          <Events d={d} />
        </Stack>
      </SimpleGrid>
      <Legs legs={d.legs} />
      <Recordings call={id} running={d.call.group === 'running'} />
      <NoteForm key={d.note?.at} id={id} note={d.note} />
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Missing title={t('call.transcript')} how={t('call.transcriptHow')} />
        <Missing title={t('call.summary')} how={t('call.summaryHow')} />
      </SimpleGrid>
    </Stack>
  )
}

function Facts({ list }: { list: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {list
        .filter(([, value]) => value !== '' && value !== undefined)
        .map(([name, value]) => (
          <Fact key={name} name={name} value={value} />
        ))}
    </dl>
  )
}

function Fact({ name, value }: { name: string; value: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  )
}

function Overview({ d }: { d: Detail }) {
  const { t, f, coded } = useText()
  const c = d.call
  const link = `${window.location.origin}/calls/${encodeURIComponent(c.id)}`
  const name = (s: string | undefined) => safe(s) && <span className="name">{safe(s)}</span>
  return (
    <Section title={t('call.facts')}>
      <Facts
        list={[
          [t('calls.status'), <Outcome key="status" c={c} />],
          [t('calls.customer'), name(customerName(t, c.customer))],
          [t('call.number'), phone(c.customer.phone)],
          [t('call.username'), name(c.customer.username)],
          [t('call.alias'), safe(c.customer.alias)],
          [t('call.line'), safe(c.line_name) || safe(c.line)],
          [t('call.agent'), name(agentName(t, c))],
          [t('call.dialled'), safe(c.dialled)],
          [t('call.payload'), name(c.payload)],
          [t('call.began'), f.exact(c.offered_at)],
          [t('calls.ring'), c.rang_at ? duration(c.ring_seconds) : ''],
          [t('calls.duration'), c.answered_at ? duration(c.talk_seconds) : ''],
          [t('call.fault'), c.ended_at && c.fault ? coded('fault', c.fault) : ''],
          [t('call.id'), <code key="id">{c.id}</code>],
          [t('call.wacid'), d.wacid ? <code key="wacid">{safe(d.wacid)}</code> : ''],
          [
            t('call.link'),
            <Group key="link" gap="xs">
              <code>{link}</code>
              <Copy text={link} />
            </Group>,
          ],
        ]}
      />
    </Section>
  )
}

function Outcome({ c }: { c: Call }) {
  const { coded } = useText()
  return (
    <Group gap="xs">
      <StatusBadge call={c} />
      <Text size="sm">{c.reason ? coded('reason', c.reason) : coded('state', c.state)}</Text>
    </Group>
  )
}

/** What the rules said, as it was stored with the call. */
function Decision({ d }: { d: Detail }) {
  const { t, coded } = useText()
  const c = d.call
  const refused = c.fault === 'policy' || c.rule
  const allowed = d.timeline.some((e) => e.kind === 'call.allowed')
  return (
    <Section title={t('call.decision')}>
      {refused ? (
        <Alert color="orange" title={t('call.decisionRefused')}>
          {c.rule && (
            <Text size="sm">
              {coded('rule', c.rule)} <code>{c.rule}</code>
            </Text>
          )}
          {c.text && <Text size="sm">{safe(c.text)}</Text>}
        </Alert>
      ) : (
        <Text>{t(allowed ? 'call.decisionAllowed' : 'call.decisionNone')}</Text>
      )}
    </Section>
  )
}

function Events({ d }: { d: Detail }) {
  const { t, f, coded } = useText()
  const last = d.timeline.length - 1
  return (
    <Section title={t('call.timeline')}>
      <Timeline active={last} bulletSize={14} lineWidth={2} role="list">
        {d.timeline.map((e) => (
          <Timeline.Item key={e.seq} role="listitem" title={coded('fact', e.kind)}>
            <Group gap="xs">
              <Text size="sm" c="dimmed">
                <time dateTime={e.at} title={f.exact(e.at)}>
                  {f.clock(e.at)}
                </time>
              </Text>
              {e.agent && <Text size="sm">{target(t, e.agent)}</Text>}
            </Group>
          </Timeline.Item>
        ))}
      </Timeline>
    </Section>
  )
}

function Legs({ legs }: { legs: Detail['legs'] }) {
  const { t, f, coded } = useText()
  if (legs.length === 0) {
    return (
      <Section title={t('call.legs')}>
        <Text c="dimmed">{t('call.noLegs')}</Text>
      </Section>
    )
  }
  const ms = (n: number | undefined) => (n === undefined ? t('call.notKnown') : t('call.ms', { n: f.decimal(n) }))
  return (
    <Section title={t('call.legs')}>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        {legs.map((l, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a call's ends keep their order and have no other name
          <Paper key={i} withBorder p="md">
            <Group justify="space-between" mb="xs">
              <Text fw={600}>{coded('call.leg', l.kind)}</Text>
              {l.codec && <Badge variant="default">{safe(l.codec)}</Badge>}
            </Group>
            <Text size="sm" className="name">
              {[safe(l.peer), safe(l.remote)].filter(Boolean).join(' · ')}
            </Text>
            {l.reason && (
              <Text size="sm">
                {coded('reason', l.reason)}
                {l.code ? ` · ${t('call.sipCode', { code: l.code })}` : ''}
                {l.text ? ` · ${safe(l.text)}` : ''}
              </Text>
            )}
            <Table mt="sm" withRowBorders={false} verticalSpacing={2} aria-label={coded('call.leg', l.kind)}>
              <Table.Tbody>
                {(
                  [
                    [t('call.received'), f.number(l.quality.packets_received)],
                    [t('call.sent'), f.number(l.quality.packets_sent)],
                    [t('call.lost'), f.number(l.quality.packets_lost)],
                    [t('call.late'), f.number(l.quality.packets_late)],
                    [t('call.jitter'), ms(l.quality.jitter_ms)],
                    [t('call.rtt'), ms(l.quality.rtt_ms)],
                    [
                      t('call.remoteLoss'),
                      l.quality.remote_loss === undefined ? t('call.notKnown') : f.percent(l.quality.remote_loss),
                    ],
                  ] as const
                ).map(([name, value]) => (
                  <Table.Tr key={name}>
                    <Table.Th scope="row" fw={400} pl={0}>
                      {name}
                    </Table.Th>
                    <Table.Td ta="right" className="tabular">
                      {value}
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Paper>
        ))}
      </SimpleGrid>
    </Section>
  )
}

function Missing({ title, how }: { title: string; how: string }) {
  const { t } = useText()
  return (
    <Paper withBorder p="md" component="section">
      <Group justify="space-between" mb="xs">
        <Text fw={600} component="h2" m={0}>
          {title}
        </Text>
        <Badge variant="default" tt="none">
          {t('call.notConfigured')}
        </Badge>
      </Group>
      <Text size="sm" c="dimmed">
        {how}
      </Text>
    </Paper>
  )
}
