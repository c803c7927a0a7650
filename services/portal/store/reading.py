"""Whether the read model has come so far."""


def read_up_to(first: int) -> str:
    """A condition of a statement: everything before the ends in the parameters $`first` and the two after it
    (`Ends.columns()`) is read. Part of the statement that rests on it, so that both see the same moment."""
    topics, partitions, offsets = (f"${number}" for number in range(first, first + 3))
    return f"""
        NOT EXISTS (
            SELECT FROM unnest({topics}::text[], {partitions}::int[], {offsets}::bigint[])
                AS e (topic, partition, next_offset)
            LEFT JOIN input_position AS p USING (topic, partition)
            WHERE coalesce(p.next_offset, 0) < e.next_offset
        )
    """
