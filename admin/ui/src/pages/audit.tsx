import { Button, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { api, data, type Schemas } from '../api/client'
import { useText } from '../i18n/text'
import { Dialog } from '../kit/dialog'
import { LinkButton } from '../kit/links'
import { Page } from '../kit/page'
import { Empty, Loaded } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { safe } from '../lib/safe'

type Event = Schemas['Event']

export function AuditPage() {
  const { t } = useText()
  const { after } = useSearch({ from: '/panel/audit' })
  const [shown, setShown] = useState<Event>()
  const events = useQuery({
    queryKey: ['audit', after],
    queryFn: () => data(api.GET('/api/v1/audit', { params: { query: { after, limit: 50 } } })),
    placeholderData: keepPreviousData,
    staleTime: 0,
  })
  return (
    <Page title={t('audit.title')} text={t('audit.text')}>
      <Loaded query={events}>
        {(page) => (
          <>
            {page.events.length === 0 ? (
              <Empty title={t('audit.empty')} />
            ) : (
              <AuditTable events={page.events} show={setShown} />
            )}
            <Group justify="center">
              {after && (
                <LinkButton to="/audit" search={{}} variant="default">
                  {t('app.first')}
                </LinkButton>
              )}
              {page.next && (
                <LinkButton to="/audit" search={{ after: page.next }} variant="default">
                  {t('app.next')}
                </LinkButton>
              )}
            </Group>
          </>
        )}
      </Loaded>
      {shown && <Details event={shown} close={() => setShown(undefined)} />}
    </Page>
  )
}

function AuditTable({ events, show }: { events: Event[]; show: (e: Event) => void }) {
  const { t, f, coded } = useText()
  const columns: Column<Event>[] = [
    {
      key: 'at',
      title: t('audit.at'),
      cell: (e) => (
        <time dateTime={e.at} title={f.exact(e.at)} className="tabular">
          {f.dateTime(e.at)}
        </time>
      ),
    },
    {
      key: 'who',
      title: t('audit.who'),
      cell: (e) => (
        <div>
          <span className="name">{safe(e.actor) || t('audit.system')}</span>
          {e.via && (
            <Text size="xs" c="dimmed">
              {t('audit.via')}
            </Text>
          )}
        </div>
      ),
    },
    { key: 'what', title: t('audit.what'), cell: (e) => coded('action', e.action) },
    {
      key: 'object',
      title: t('audit.object'),
      cell: (e) => (e.object ? <code className="name">{safe(e.object)}</code> : ''),
    },
    { key: 'from', title: t('audit.from'), cell: (e) => safe(e.address) },
    {
      key: 'details',
      title: t('app.actions'),
      hideTitle: true,
      right: true,
      cell: (e) =>
        e.before || e.after ? (
          <Button size="xs" variant="default" aria-label={t('audit.detailsOf', { n: e.seq })} onClick={() => show(e)}>
            {t('audit.details')}
          </Button>
        ) : (
          ''
        ),
    },
  ]
  return <DataTable label={t('audit.title')} columns={columns} rows={events} id={(e) => String(e.seq)} />
}

function Details({ event, close }: { event: Event; close: () => void }) {
  const { t, coded } = useText()
  const side = (title: string, value: unknown) => (
    <Stack gap={4}>
      <Text fw={600}>{title}</Text>
      <pre className="pre">{value === undefined ? t('app.none') : JSON.stringify(value, null, 2)}</pre>
    </Stack>
  )
  return (
    <Dialog title={coded('action', event.action)} close={close}>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        {side(t('audit.before'), event.before)}
        {side(t('audit.after'), event.after)}
      </SimpleGrid>
    </Dialog>
  )
}
