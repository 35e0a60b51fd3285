use proptest::prelude::*;

use super::*;

type Model = Vec<Option<Vec<u8>>>;

fn values() -> impl Strategy<Value = Model> {
    prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..6)), 0..40)
}

fn column(model: &Model) -> Column {
    model.iter().map(Option::as_deref).collect()
}

fn model(column: &Column) -> Model {
    column.iter().map(|value| value.map(<[u8]>::to_vec)).collect()
}

proptest! {
    #[test]
    fn a_column_reads_back_what_was_pushed(values in values()) {
        let column = column(&values);
        prop_assert_eq!(&model(&column), &values);
        for (row, value) in values.iter().enumerate() {
            prop_assert_eq!(column.get(row), value.as_deref());
        }
    }

    #[test]
    fn the_buffers_of_a_column_pass_its_own_check(values in values()) {
        let column = column(&values);
        let again = Column::from_parts(column.ends().to_vec(), column.data().to_vec(), column.nulls().to_vec());
        prop_assert_eq!(again, Ok(column));
    }

    #[test]
    fn gather_is_picking_rows_one_by_one(values in values(), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        prop_assume!(!values.is_empty());
        let rows: Vec<u32> = picks.iter().map(|pick| pick.index(values.len()) as u32).collect();
        let expected: Model = rows.iter().map(|&row| values[row as usize].clone()).collect();
        prop_assert_eq!(model(&column(&values).gather(&rows)), expected);
    }

    #[test]
    fn slice_then_append_is_the_whole(values in values(), cut in any::<prop::sample::Index>()) {
        let whole = column(&values);
        let cut = cut.index(values.len() + 1);
        let (mut left, right) = (whole.slice(0..cut), whole.slice(cut..values.len()));
        prop_assert_eq!(model(&right), values[cut..].to_vec());
        left.append(&right);
        prop_assert_eq!(left, whole);
    }

    #[test]
    fn no_buffers_whatever_make_a_column_that_panics(
        ends in prop::collection::vec(0u32..12, 0..8), data in prop::collection::vec(any::<u8>(), 0..12), nulls in prop::collection::vec(0u32..9, 0..4)
    ) {
        if let Ok(column) = Column::from_parts(ends, data, nulls) {
            prop_assert_eq!(column.iter().count(), column.len());
        }
    }
}

#[test]
fn each_broken_rule_is_named() {
    let check =
        |ends: &[u32], data: usize, nulls: &[u32]| Column::from_parts(ends.to_vec(), vec![0; data], nulls.to_vec());
    assert_eq!(check(&[2, 1, 3], 3, &[]), Err(ColumnError::EndsGoBack { row: 1, before: 2, after: 1 }));
    assert_eq!(check(&[2], 3, &[]), Err(ColumnError::EndsMissData { end: 2, bytes: 3 }));
    assert_eq!(check(&[0, 0], 0, &[1, 1]), Err(ColumnError::NullsNotAscending { place: 1 }));
    assert_eq!(check(&[0], 0, &[1]), Err(ColumnError::NullOutOfRange { row: 1, rows: 1 }));
    assert_eq!(check(&[1], 1, &[0]), Err(ColumnError::NullWithBytes { row: 0 }));
}

#[test]
fn a_column_ends_where_the_contract_says() {
    let most = i32::MAX as usize;
    assert_eq!(check(&[i32::MAX as u32], most, &[]), Ok(()));
    assert_eq!(check(&[1 << 31], most + 1, &[]), Err(ColumnError::TooLarge { bytes: most + 1 }));
}

#[test]
fn equal_widths_make_the_column_that_pushing_makes() {
    let pushed: Column = [b"abc", b"def"].into_iter().map(|value| Some(&value[..])).collect();
    assert_eq!(Column::of_equal_widths(b"abcdef".to_vec(), 3), pushed);
    assert!(Column::of_equal_widths(Vec::new(), 3).is_empty());
}
