//! The contract of the store, once for every dialect: on SQLite each part is a test of its own, on PostgreSQL all of
//! them share one real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod contract {
    pub mod decisions;
    pub mod evidence;
    pub mod lists;
    pub mod objects;
    pub mod people;
    pub mod rules;
    pub mod tree;
    pub mod world;
}

use contract::{decisions, evidence, lists, objects, people, rules, tree, world::Place};

macro_rules! contract {
    ($($module:ident :: $name:ident),* $(,)?) => {
        mod on_sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", dir.path().join("rampart.db").display());
                $module::$name(&Place { url }).await;
            })*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn all_of_it_holds_on_postgresql() {
            let server = tokio::task::spawn_blocking(testkit::Postgres::start).await.unwrap().unwrap();
            let mut failed = Vec::new();
            $({
                let url = server.database().unwrap();
                if tokio::spawn(async move { $module::$name(&Place { url }).await }).await.is_err() {
                    failed.push(stringify!($name));
                }
            })*
            assert!(failed.is_empty(), "on PostgreSQL these fail: {failed:?}");
        }
    };
}

contract! {
    objects::a_fresh_database_has_what_is_built_in,
    objects::every_kind_survives_the_round_trip,
    objects::an_existing_id_is_a_conflict,
    objects::an_update_of_an_old_revision_is_stale,
    objects::a_unit_of_work_is_all_or_nothing,
    objects::names_are_unique_where_the_model_says_so,
    objects::references_must_exist_in_the_same_organization,
    objects::another_organization_cannot_be_read_changed_or_deleted,
    objects::a_restart_keeps_everything,
    objects::secrets_of_accounts_have_a_history,
    objects::host_keys_are_replaced_by_algorithm,
    rules::built_in_objects_are_read_only,
    rules::the_first_administrator_stays,
    rules::the_last_system_administrator_stays,
    rules::organizations_are_deleted_only_when_empty,
    rules::deleting_empties_memberships_and_takes_belongings_along,
    rules::what_is_used_cannot_be_deleted,
    rules::an_organization_writes_only_about_its_members,
    rules::who_leaves_an_organization_loses_its_groups_and_rules,
    rules::bindings_fit_the_scope_of_their_role,
    tree::keys_and_paths_follow_the_tree,
    tree::moving_a_folder_takes_its_subtree_along,
    tree::only_empty_folders_are_deleted,
    tree::a_new_organization_has_a_root_folder,
    lists::filters_are_a_closed_set,
    lists::filters_compare_as_they_say,
    lists::search_is_literal_and_ignores_case,
    lists::what_is_too_large_is_refused,
    lists::pages_never_overlap,
    lists::relations_can_be_filtered_by,
    lists::nothing_widens_the_reach,
    decisions::facts_hold_what_decides,
    decisions::granted_assets_are_those_of_rules_in_force,
    decisions::named_assets_include_what_is_refused,
    decisions::facts_agree_with_lists_in_random_worlds,
    decisions::facts_follow_every_change,
    people::user_names_compare_one_way,
    people::secrets_of_people_are_apart,
    people::a_totp_step_is_used_once,
    people::tokens_end,
    people::failures_are_counted_in_a_window,
    people::memberships_carry_their_organization,
    people::settings_and_keys_are_kept,
    evidence::the_chain_can_be_verified_after_a_restart,
    evidence::a_failed_job_leaves_no_gap_and_spoils_nobody,
    evidence::a_burst_of_20000_events_loses_none,
    evidence::sessions_walk_their_life_cycle,
    evidence::logs_are_seen_by_their_organization,
    evidence::hostile_text_is_stored,
    evidence::checkpoints_are_kept,
}
