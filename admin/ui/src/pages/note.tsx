import { Button, Group, Stack, TagsInput, Text, Textarea, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, data, type Schemas } from '../api/client'
import { useText } from '../i18n/text'
import { useNotify } from '../kit/notify'
import { Section } from '../kit/page'
import { Failure } from '../kit/problem'
import { safe } from '../lib/safe'

/** What people write about a call. */
export function NoteForm({ id, note }: { id: string; note?: Schemas['Note'] }) {
  const { t, f } = useText()
  const notify = useNotify()
  const queries = useQueryClient()
  const [text, setText] = useState(note?.text ?? '')
  const [tags, setTags] = useState(note?.tags ?? [])
  const [disposition, setDisposition] = useState(note?.disposition ?? '')
  const save = useMutation({
    mutationFn: () =>
      data(api.PUT('/api/v1/calls/{id}/note', { params: { path: { id } }, body: { text, tags, disposition } })),
    onSuccess: () => {
      notify(t('app.saved'))
      return queries.invalidateQueries({ queryKey: ['call', id] })
    },
  })
  const same =
    text === (note?.text ?? '') &&
    disposition === (note?.disposition ?? '') &&
    tags.join('\n') === (note?.tags ?? []).join('\n')
  const submit = (e: FormEvent) => {
    e.preventDefault()
    save.mutate()
  }
  return (
    <Section title={t('call.notes')}>
      <form onSubmit={submit}>
        <Stack maw="44rem">
          <Textarea
            label={t('call.note')}
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
            autosize
            minRows={3}
            maxRows={12}
            maxLength={4000}
          />
          <Group grow align="flex-start" preventGrowOverflow={false}>
            <TagsInput
              miw="14rem"
              label={t('call.tags')}
              description={t('call.tagsHint')}
              value={tags}
              onChange={setTags}
              maxTags={16}
            />
            <TextInput
              miw="14rem"
              label={t('call.disposition')}
              description={t('call.dispositionHint')}
              value={disposition}
              onChange={(e) => setDisposition(e.currentTarget.value)}
              maxLength={64}
            />
          </Group>
          {save.isError && <Failure error={save.error} />}
          <Group justify="space-between">
            <Text size="sm" c="dimmed">
              {note?.by && t('call.noteBy', { name: safe(note.by), at: f.dateTime(note.at) })}
            </Text>
            <Button type="submit" disabled={same} loading={save.isPending}>
              {t('app.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  )
}
