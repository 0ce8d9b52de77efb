import { Badge, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { api, data, type Schemas } from '../api/client'
import { covers, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { LinkButton } from '../kit/links'
import { Page, Section } from '../kit/page'
import { Empty, Loaded } from '../kit/states'
import { DataTable } from '../kit/table'
import { phone } from '../lib/format'
import { safe } from '../lib/safe'

/** Green, grey or red, and always a word. */
function State({ good, bad, word }: { good: boolean; bad?: boolean; word: string }) {
  return (
    <Badge color={good ? 'leaf' : bad ? 'red' : 'gray'} variant="light" tt="none">
      {word}
    </Badge>
  )
}

export function ConnectionsPage() {
  const { t } = useText()
  const connections = useQuery({
    queryKey: ['connections'],
    queryFn: () => data(api.GET('/api/v1/connections')),
    refetchInterval: 5_000,
  })
  return (
    <Page title={t('connections.title')}>
      <Loaded query={connections}>
        {(c) => (
          <Stack gap="xl">
            <Lines list={c.lines} />
            <Trunks list={c.trunks} />
            <Phones list={c.phones} />
          </Stack>
        )}
      </Loaded>
    </Page>
  )
}

/** Nothing there yet: the way to add it, or who can. */
function None({ title }: { title: string }) {
  const { t } = useText()
  const admin = covers(useMe().user.role, 'admin')
  if (!admin) return <Empty title={title} text={t('connections.addText')} />
  return (
    <Empty title={title}>
      <LinkButton to="/settings" variant="default">
        {t('connections.add')}
      </LinkButton>
    </Empty>
  )
}

function Lines({ list }: { list: Schemas['LineState'][] }) {
  const { t } = useText()
  const onOff = (on: boolean) => <State good={on} word={t(on ? 'connections.on' : 'connections.off')} />
  return (
    <Section title={t('connections.lines')}>
      {list.length === 0 ? (
        <None title={t('connections.noLines')} />
      ) : (
        <DataTable
          label={t('connections.lines')}
          rows={list}
          id={(l) => l.id}
          columns={[
            {
              key: 'name',
              title: t('connections.name'),
              cell: (l) => (
                <Text fw={500} size="sm">
                  {safe(l.name) || l.id}
                </Text>
              ),
            },
            { key: 'number', title: t('connections.number'), cell: (l) => phone(l.number) },
            { key: 'state', title: t('connections.state'), cell: (l) => onOff(l.enabled) },
            { key: 'in', title: t('connections.inbound'), cell: (l) => onOff(l.enabled && l.inbound) },
            { key: 'out', title: t('connections.outbound'), cell: (l) => onOff(l.enabled && l.outbound) },
          ]}
        />
      )}
    </Section>
  )
}

function Trunks({ list }: { list: Schemas['TrunkState'][] }) {
  const { t, f } = useText()
  return (
    <Section title={t('connections.trunks')}>
      {list.length === 0 ? (
        <None title={t('connections.noTrunks')} />
      ) : (
        <DataTable
          label={t('connections.trunks')}
          rows={list}
          id={(x) => x.name}
          columns={[
            {
              key: 'name',
              title: t('connections.name'),
              cell: (x) => (
                <Text fw={500} size="sm">
                  {safe(x.name)}
                </Text>
              ),
            },
            {
              key: 'state',
              title: t('connections.state'),
              cell: (x) => (
                <div>
                  <State
                    good={x.enabled && x.up}
                    bad={x.enabled}
                    word={t(!x.enabled ? 'connections.off' : x.up ? 'connections.up' : 'connections.down')}
                  />
                  {x.error && <Text size="xs">{safe(x.error)}</Text>}
                </div>
              ),
            },
            {
              key: 'registered',
              title: t('connections.registered'),
              cell: (x) => t(x.registered ? 'app.yes' : 'app.no'),
            },
            {
              key: 'rtt',
              title: t('connections.answers'),
              cell: (x) => (x.rtt_ms === undefined ? '' : t('call.ms', { n: f.decimal(x.rtt_ms) })),
            },
            { key: 'since', title: t('connections.since'), cell: (x) => f.dateTime(x.since) },
          ]}
        />
      )}
    </Section>
  )
}

function Phones({ list }: { list: Schemas['PhoneState'][] }) {
  const { t, f } = useText()
  return (
    <Section title={t('connections.phones')}>
      {list.length === 0 ? (
        <None title={t('connections.noPhones')} />
      ) : (
        <DataTable
          label={t('connections.phones')}
          rows={list}
          id={(p) => p.extension}
          columns={[
            {
              key: 'extension',
              title: t('connections.extension'),
              cell: (p) => (
                <Text fw={500} size="sm">
                  {p.extension}
                </Text>
              ),
            },
            { key: 'name', title: t('connections.name'), cell: (p) => safe(p.name) },
            {
              key: 'state',
              title: t('connections.state'),
              cell: (p) => {
                const here = p.places.length > 0
                const word = !p.enabled
                  ? 'connections.off'
                  : here
                    ? 'connections.registered'
                    : 'connections.notRegistered'
                return <State good={p.enabled && here} word={t(word)} />
              },
            },
            {
              key: 'places',
              title: t('connections.places'),
              cell: (p) =>
                p.places.map((r) => (
                  <Text size="sm" key={`${r.address} ${r.expires}`} className="name">
                    {t('connections.until', {
                      where: [safe(r.address), safe(r.agent)].filter(Boolean).join(' · ') || p.extension,
                      at: f.clock(r.expires),
                    })}
                  </Text>
                )),
            },
          ]}
        />
      )}
    </Section>
  )
}
