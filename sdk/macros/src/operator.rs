//! `#[operator]`: a struct whose fields are parts becomes an operator.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Fields, ItemStruct, Result, Type};

use crate::attribute::{self, Told};
use crate::way::Way;

/// A field of the struct.
struct Member {
    ident: Ident,
    ty: Type,
    told: Told,
}

impl Member {
    /// Its name in the descriptor.
    fn name(&self) -> String {
        self.told.name.as_ref().map_or_else(|| unraw(&self.ident), syn::LitStr::value)
    }

    /// The version of its schema.
    fn version(&self) -> TokenStream {
        self.told.version.as_ref().map_or_else(|| quote!(1), |version| quote!(#version))
    }
}

/// The struct without our attributes, its implementation of `Operator`, and the export.
pub(crate) fn expand(arguments: &TokenStream, mut item: ItemStruct) -> Result<TokenStream> {
    let per_batch = is_per_batch(arguments)?;
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "an operator cannot be generic: a module holds exactly one"));
    }
    let members = members(&mut item)?;
    let (parts, locals): (Vec<_>, Vec<_>) = members.iter().partition(|member| !member.told.is_local());
    let checks = parts.iter().filter_map(|part| role_check(part));
    let fields = parts.iter().map(|part| field_static(part, &parts));
    let implementation = implementation(&item.ident, &parts, &locals, per_batch);
    let migration = migration(&item.ident, &parts);
    let inspection = inspection(&item.ident, &parts);
    let name = &item.ident;
    Ok(quote! {
        #item

        const _: () = {
            #(#checks)*
            #(#fields)*
            #implementation
            #migration
            #inspection
        };

        ::gristmill_sdk::export_operator!(#name);
    })
}

fn is_per_batch(arguments: &TokenStream) -> Result<bool> {
    match arguments.to_string().as_str() {
        "" => Ok(false),
        "per_batch" => Ok(true),
        _ => Err(Error::new_spanned(arguments, "`#[operator]` takes nothing, or `per_batch`")),
    }
}

fn members(item: &mut ItemStruct) -> Result<Vec<Member>> {
    let Fields::Named(fields) = &mut item.fields else {
        return Err(Error::new_spanned(
            item,
            "an operator is a struct with named fields: its ports and states go by them",
        ));
    };
    fields
        .named
        .iter_mut()
        .map(|field| {
            let told = attribute::take(field)?;
            let ident = field.ident.clone().expect("named fields have names");
            Ok(Member { ident, ty: field.ty.clone(), told })
        })
        .collect()
}

/// Refuses, at compile time, an attribute that does not go with the type of its field.
fn role_check(part: &Member) -> Option<TokenStream> {
    let migrated = || part.told.ways.first().map(|way| ("migrate", way.span));
    let (attribute, span) = part.told.attribute.or_else(migrated)?;
    let role = match attribute {
        "state" | "migrate" => quote!(State),
        "output" => quote!(Output),
        "input" => quote!(Input),
        _ => quote!(Metric),
    };
    let ty = &part.ty;
    let message = format!("`#[{attribute}]` does not go with the type of field `{}`", part.ident);
    Some(quote_spanned! {span=>
        const _: () = ::core::assert!(
            <#ty as ::gristmill_sdk::part::Part>::ROLE.is(::gristmill_sdk::part::Role::#role),
            #message
        );
    })
}

/// The `static` that tells a part what it is called.
fn field_static(part: &Member, parts: &[&Member]) -> TokenStream {
    let constant = static_name(&part.ident);
    let told = &part.told;
    let (name, version) = (part.name(), part.version());
    let ttl_ms = told
        .ttl_ms
        .map_or_else(|| quote!(::core::option::Option::None), |ms| quote!(::core::option::Option::Some(#ms)));
    let by_processing_time = told.ttl_by_processing_time;
    let keyed = match &told.keyed {
        Some(keyed) => quote!(#keyed),
        None => {
            let types = parts.iter().map(|part| &part.ty);
            quote!(false #(|| <#types as ::gristmill_sdk::part::Part>::ROLE.is(::gristmill_sdk::part::Role::State))*)
        }
    };
    quote! {
        static #constant: ::gristmill_sdk::part::Field = ::gristmill_sdk::part::Field {
            name: #name,
            version: #version,
            ttl_ms: #ttl_ms,
            ttl_by_processing_time: #by_processing_time,
            keyed: #keyed,
        };
    }
}

/// The implementation of `Operator`: what the operator is made of, how it is built, and who does its work.
fn implementation(name: &Ident, parts: &[&Member], locals: &[&Member], per_batch: bool) -> TokenStream {
    let declares: Vec<_> = parts.iter().map(|part| declaration(part)).collect();
    let declare = declare(&declares);
    let build = build(parts, locals, &declares);
    let to_behaviour = delegate_to_behaviour(per_batch);
    let to_parts = delegate_to_parts(parts);
    quote! {
        impl ::gristmill_sdk::operator::Operator for #name {
            #declare
            #build
            #to_behaviour
            #to_parts
        }
    }
}

/// The expression that adds a part to `descriptor` and gives its index there.
fn declaration(part: &Member) -> TokenStream {
    let (ty, constant) = (&part.ty, static_name(&part.ident));
    quote_spanned!(shown_at(ty.span())=> <#ty as ::gristmill_sdk::part::Part>::declare(&#constant, &mut descriptor))
}

fn declare(declares: &[TokenStream]) -> TokenStream {
    quote! {
        fn declare() -> ::gristmill_sdk::operator::Descriptor {
            let mut descriptor = ::gristmill_sdk::operator::empty_descriptor();
            #(#declares;)*
            descriptor
        }
    }
}

/// Parts are declared once more, for the sake of their indices.
fn build(parts: &[&Member], locals: &[&Member], declares: &[TokenStream]) -> TokenStream {
    let idents = parts.iter().map(|part| &part.ident);
    let statics = parts.iter().map(|part| static_name(&part.ident));
    let locals = locals.iter().map(|local| &local.ident);
    quote! {
        fn build(parameters: &str) -> ::core::result::Result<Self, ::gristmill_sdk::Failure> {
            let mut descriptor = ::gristmill_sdk::operator::empty_descriptor();
            ::core::result::Result::Ok(Self {
                #(#idents: {
                    let index = #declares;
                    ::gristmill_sdk::part::Part::build(&#statics, index, parameters)?
                },)*
                #(#locals: ::core::default::Default::default(),)*
            })
        }
    }
}

/// `open` and `handle`: the author's `PerEvent` or `PerBatch`.
fn delegate_to_behaviour(per_batch: bool) -> TokenStream {
    let (behaviour, handle) = if per_batch {
        let behaviour = quote!(::gristmill_sdk::operator::PerBatch);
        (behaviour.clone(), quote!(<Self as #behaviour>::on_batch(self, batch, rejected)))
    } else {
        let behaviour = quote!(::gristmill_sdk::operator::PerEvent);
        (behaviour, quote!(::gristmill_sdk::operator::each_event(self, batch, rejected)))
    };
    quote! {
        fn open(
            &mut self,
            context: &::gristmill_sdk::operator::Context,
        ) -> ::core::result::Result<(), ::gristmill_sdk::Failure> {
            <Self as #behaviour>::open(self, context)
        }

        #[inline]
        fn handle(
            &mut self,
            batch: &::gristmill_sdk::Batch,
            rejected: &mut ::gristmill_sdk::operator::Rejected,
        ) -> ::core::result::Result<(), ::gristmill_sdk::Failure> {
            #handle
        }
    }
}

/// `begin`, `roll_back` and `finish`: each part's own.
fn delegate_to_parts(parts: &[&Member]) -> TokenStream {
    let part = quote!(::gristmill_sdk::part::Part);
    let idents: Vec<_> = parts.iter().map(|part| &part.ident).collect();
    quote! {
        fn begin(&mut self, batch: &::gristmill_sdk::Batch) {
            #(#part::begin(&mut self.#idents, batch);)*
        }

        fn roll_back(&mut self, row: u32) {
            #(#part::roll_back(&mut self.#idents, row);)*
        }

        fn finish(
            &mut self,
            done: &mut ::gristmill_sdk::part::Done<'_>,
        ) -> ::core::result::Result<(), ::gristmill_sdk::Failure> {
            #(#part::finish(&mut self.#idents, done)?;)*
            ::core::result::Result::Ok(())
        }
    }
}

/// The implementation of `Migrate` and its export, if some state has a `#[migrate]`.
fn migration(name: &Ident, parts: &[&Member]) -> Option<TokenStream> {
    let ways: Vec<_> = parts.iter().flat_map(|part| part.told.ways.iter().map(move |way| (*part, way))).collect();
    if ways.is_empty() {
        return None;
    }
    let keys: Vec<_> = ways.iter().map(|(part, way)| way_key(part, way)).collect();
    let rewrites = ways.iter().map(|(part, way)| rewrite(part, way));
    let migration = quote!(::gristmill_sdk::migration);
    Some(quote! {
        impl #migration::Migrate for #name {
            const WAYS: &'static [#migration::Way] = &[#(#keys),*];

            fn migrate(
                asked: #migration::Asked<'_>,
                page: #migration::Entries,
            ) -> ::core::result::Result<#migration::Entries, ::gristmill_sdk::Failure> {
                match (asked.state, asked.from_version, asked.to_version) {
                    #(#keys => #rewrites,)*
                    _ => ::core::result::Result::Err(#migration::no_way(asked, Self::WAYS)),
                }
            }
        }

        ::gristmill_sdk::export_migration!(#name);
    })
}

/// Parts that are no states, by the names of their types: an operator of these alone has nothing to show.
const NO_STATES: [&str; 6] = ["Output", "RekeyedOutput", "Input", "Parameters", "Counter", "Histogram"];

/// The implementation of `Inspect` and its export, if some part may be a state.
fn inspection(name: &Ident, parts: &[&Member]) -> Option<TokenStream> {
    let may_be_state = |part: &&&Member| match &part.ty {
        Type::Path(path) => {
            path.path.segments.last().is_none_or(|last| NO_STATES.iter().all(|name| last.ident != name))
        }
        _ => true,
    };
    let parts: Vec<_> = parts.iter().filter(may_be_state).collect();
    if parts.is_empty() {
        return None;
    }
    let (types, statics) = (parts.iter().map(|part| &part.ty), parts.iter().map(|part| static_name(&part.ident)));
    let part = quote!(::gristmill_sdk::part);
    // A port may bear the name of a state.
    let is_meant: Vec<_> = types
        .clone()
        .zip(statics)
        .map(|(ty, constant)| {
            quote! {
                <#ty as #part::Part>::ROLE.is(#part::Role::State) && #constant.name == state && #constant.version == version
            }
        })
        .collect();
    let (types, inspection) = (types.collect::<Vec<_>>(), quote!(::gristmill_sdk::inspection));
    let result = |of: TokenStream| quote!(::core::result::Result<#inspection::#of, ::std::string::String>);
    let (shown, stored) = (result(quote!(Shown)), result(quote!(Stored)));
    Some(quote! {
        impl #inspection::Inspect for #name {
            fn render(state: &str, version: u32, entry: #inspection::Stored) -> #shown {
                #(if #is_meant {
                    return <#types as #part::Part>::render(&entry);
                })*
                ::core::result::Result::Err(#inspection::unknown(state, version))
            }

            fn parse(state: &str, version: u32, entry: #inspection::Shown) -> #stored {
                #(if #is_meant {
                    return <#types as #part::Part>::parse(&entry);
                })*
                ::core::result::Result::Err(#inspection::unknown(state, version))
            }
        }

        ::gristmill_sdk::export_inspection!(#name);
    })
}

/// The state, and the versions between which the way leads.
fn way_key(part: &Member, way: &Way) -> TokenStream {
    let (name, there) = (part.name(), &way.version);
    let here = part.version();
    if way.is_back { quote!((#name, #here, #there)) } else { quote!((#name, #there, #here)) }
}

fn rewrite(part: &Member, way: &Way) -> TokenStream {
    let Way { was, with, is_back, .. } = way;
    let is = &part.ty;
    let (old, new) = if *is_back { (is, was) } else { (was, is) };
    quote_spanned!(shown_at(with.span())=> ::gristmill_sdk::migration::rewrite::<#old, #new, _>(asked, page, #with))
}

/// A span whose errors are shown at the author's text, but whose names are ours: also where the author's text comes out of
/// a macro.
fn shown_at(text: Span) -> Span {
    text.resolved_at(Span::call_site())
}

fn static_name(field: &Ident) -> Ident {
    format_ident!("{}", unraw(field).to_uppercase(), span = field.span())
}

/// The name without `r#`.
fn unraw(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}
