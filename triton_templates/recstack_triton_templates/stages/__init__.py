"""The stages of a request, written once: training evaluates with them, Triton serves with them.

They bear the names of the reference's Triton models, in this order: ``context_preprocessor``,
``feast_user_lookup``, ``nvt_user_transform``, ``nvt_context_transform``, ``query_tower``,
``faiss_retrieval``, ``filter_seen_items``, ``feast_item_lookup``,
``multimodal_embedding_lookup``, ``unroll_features``, ``dlrm_ranking``, ``softmax_sampling``,
``item_id_decoder``. The reference's ``nvt_item_transform`` ran when the package was made: items lie in it
encoded. A stage knows arrays only, neither Triton nor Kubernetes, and no column by name.
"""
